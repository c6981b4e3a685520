"""Predictions in a database: each row once, however often they are written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from components.config import ConfigError
from components.errors import BraidError
from components.scoring.sql import Sink
from components.storage.names import outside_names

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("row", pa.int64()),
        ("label", pa.string()),
        ("probability", pa.float64()),
        ("abstain", pa.bool_()),
        ("run_id", pa.string()),
    ]
)


def write_parts(folder: Path, run: str = "one") -> list[Path]:
    """Three parts of 3, 0 and 2 rows."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, rows in enumerate(([0, 1, 2], [], [6, 7])):
        table = pa.Table.from_pylist(
            [
                {"id": f"r{row}", "row": row, "label": None if row == 1 else "ä", "probability": 0.1 + row,
                 "abstain": row % 2 == 0, "run_id": run}
                for row in rows
            ],
            SCHEMA,
        )  # fmt: skip
        paths.append(folder / f"part-{number}.parquet")
        pq.write_table(table, paths[-1])
    return paths


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'scores.db'}"


def stored(url: str, table: str = "scores") -> pd.DataFrame:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        return pd.read_sql(sa.text(f'SELECT * FROM {table} ORDER BY run_id, "row"'), connection)


def test_the_table_is_made_and_holds_what_the_parts_hold(tmp_path: Path, url: str) -> None:
    parts = write_parts(tmp_path / "one")
    assert Sink(url, "scores").write(parts) == 5
    expected = pd.concat([pd.read_parquet(path) for path in parts], ignore_index=True)
    rows = stored(url)
    rows["abstain"] = rows["abstain"].astype(bool)
    pd.testing.assert_frame_equal(rows, expected, check_dtype=False)


def test_writing_again_changes_nothing(tmp_path: Path, url: str) -> None:
    parts = write_parts(tmp_path / "one")
    Sink(url, "scores").write(parts)
    assert Sink(url, "scores").write(parts) == 0
    assert len(stored(url)) == 5


def test_a_write_that_was_cut_off_is_gone_on_with(tmp_path: Path, url: str) -> None:
    parts = write_parts(tmp_path / "one")
    Sink(url, "scores").write(parts)
    before = stored(url)
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text('DELETE FROM scores WHERE "row" IN (1, 6, 7)'))
    assert Sink(url, "scores").write(parts) == 5, "both parts that are not whole"
    pd.testing.assert_frame_equal(stored(url), before)


def test_jobs_share_a_table(tmp_path: Path, url: str) -> None:
    Sink(url, "scores").write(write_parts(tmp_path / "one"))
    Sink(url, "scores").write(write_parts(tmp_path / "two", run="two"))
    assert stored(url)["run_id"].value_counts().to_dict() == {"one": 5, "two": 5}


def test_a_table_of_another_model_is_told_before_anything_is_written(tmp_path: Path, url: str) -> None:
    Sink(url, "scores").write(write_parts(tmp_path / "one"))
    Sink(url, "scores").check(SCHEMA)
    with pytest.raises(BraidError, match=r"scores: .*without column 'probability_x', .*another model"):
        Sink(url, "scores").check(SCHEMA.append(pa.field("probability_x", pa.float64())))


def test_a_database_that_cannot_be_reached_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BraidError, match="unable to open database file") as error:
        Sink(f"sqlite:///{tmp_path / 'no' / 'such.db'}", "scores").check(SCHEMA)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("url", ["no url", "://", "postgresql://me:hunter2@host:port/x"])
def test_what_is_no_url_is_told_without_it(url: str) -> None:
    with pytest.raises((ConfigError, BraidError)) as error:
        Sink(url, "scores")
    assert "hunter2" not in str(error.value)


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "hunter2")
    with pytest.raises(BraidError) as error:
        Sink("nosuch://me:${SECRET_OF_MINE}@host/x", "scores")
    assert "hunter2" not in str(error.value)
    with pytest.raises(ConfigError, match="an option in the URL") as refused:
        Sink("sqlite:///x.db?check_same_thread=${SECRET_OF_MINE}", "scores")
    assert "hunter2" not in str(refused.value)
    with pytest.raises(ConfigError, match="environment variable NOT_SET_HERE is not set"):
        Sink("sqlite:///${NOT_SET_HERE}", "scores")


def test_columns_of_any_name_are_written_and_read_again(tmp_path: Path, url: str) -> None:
    names = ["probability_A", "probability_a", "p (€)", "p [€]", "a.b", "a b", "x" * 80, "x" * 81, "50 %:y"]
    values = {name: [float(number)] for number, name in enumerate(names)}
    table = pa.table({"run_id": ["one"], "row": pa.array([0]), **values})
    pq.write_table(table, tmp_path / "part-0.parquet")
    sink = Sink(url, "odd")
    assert sink.write([tmp_path / "part-0.parquet"]) == 1
    sink.check(table.schema)
    stored = pd.read_sql("select * from odd", sa.create_engine(url)).iloc[0]
    columns = outside_names(table.column_names)
    assert {name: stored[columns[name]] for name in names} == {name: values[name][0] for name in names}
