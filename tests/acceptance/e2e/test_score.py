"""``braid score`` as a user runs it: by alias, killed and gone on with, the same as the pyfunc, into SQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from mlflow import MlflowClient

from components.config import TrackingConfig
from components.config.score import ScoreConfig
from components.errors import BraidError
from tasks.score import open_task
from tests.acceptance.e2e.project import Project, predicted
from tests.acceptance.faults.writes import Write, killed_at

pytestmark = pytest.mark.e2e
ROWS, CHUNK = 1024, 128
PASSWORD = "hunter2-in-no-file"


@pytest.fixture(scope="module")
def table(project: Project, first_run: dict[str, Any]) -> Path:
    """1024 rows without targets; one image is lost, one row has nothing."""
    manifest = pd.read_csv(project.folder / "manifest.csv", dtype=str, keep_default_na=False)
    rows = pd.concat([manifest] * 5, ignore_index=True).head(ROWS).drop(columns=["label", "split"])
    rows["id"] = [f"new-{row}" for row in range(ROWS)]
    rows.loc[900, "picture"] = "media/lost.png"
    rows.loc[1000, ["picture", "sound", "words"]] = ""
    rows.to_csv(project.folder / "new.csv", index=False)
    return project.folder / "new.csv"


def arguments(project: Project, table: Path, *more: str) -> list[str]:
    return [
        *("score", "tiny", str(table), "--out", str(project.folder / "scores")),
        *("--chunk-rows", str(CHUNK), "--explain", *more),
    ]


def score(project: Project, table: Path, *more: str, **environment: str) -> dict[str, Any]:
    return project.json(*arguments(project, table, *more), **environment)


@pytest.fixture(scope="module")
def parts_before(project: Project, table: Path) -> dict[str, int]:
    """Times of the parts that were written when the first try was killed, right after the second write."""
    assert killed_at(Write(2, suffix=".parquet", renamed=True), project.inside, *arguments(project, table))
    return parts(project)


def parts(project: Project) -> dict[str, int]:
    """Times in nanoseconds at which parts were written, by their name."""
    files = (project.folder / "scores").glob("*/predictions/part-*.parquet")
    return {file.name: file.stat().st_mtime_ns for file in files}


@pytest.fixture(scope="module")
def result(project: Project, table: Path, parts_before: dict[str, int]) -> dict[str, Any]:
    """The same command again, now also into a database whose URL holds a password."""
    # SQLite has no passwords, but hands on parameters that it does not know
    url = f"sqlite:///file:{project.folder / 'scores.db'}?uri=true&password={PASSWORD}"
    return score(project, table, "--sql", url)


def test_it_goes_on_where_it_was_killed_and_no_row_is_lost_or_doubled(
    project: Project, parts_before: dict[str, int], result: dict[str, Any]
) -> None:
    assert 1 <= len(parts_before) < len(parts(project)) == -(-ROWS // CHUNK)
    assert parts_before.items() <= parts(project).items(), "what was written is not written again"
    predictions = pd.read_parquet(result["predictions"])
    assert sorted(predictions["row"]) == [row for row in range(ROWS) if row != 1000]
    assert (result["rows"], result["scored"], result["not_scored"], result["faulty"]) == (
        ROWS,
        ROWS - 1,
        1,
        2,
    )
    assert not result["repeated"]


def test_predictions_are_those_of_the_pyfunc(project: Project, table: Path, result: dict[str, Any]) -> None:
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    for column in ("picture", "sound"):
        rows[column] = [str(project.folder / cell) if cell else None for cell in rows[column]]
    scored = predicted(project, "tiny", rows.drop(columns="id"), explain=True)
    expected = scored.drop(index=1000).reset_index(drop=True)
    predictions = pd.read_parquet(result["predictions"]).sort_values("row", ignore_index=True)
    compared = [column for column in expected if column != "error"]
    assert {"label", "probability_ant", "set", "abstain", "share_picture", "inputs"} <= set(compared)
    pd.testing.assert_frame_equal(predictions[compared], expected[compared], check_dtype=False, atol=1e-5)
    assert predictions["error"].notna().tolist() == expected["error"].notna().tolist()
    assert set(predictions["model_version"]) == {"1"}
    assert set(predictions["run_id"]) == {result["mlflow_run"]}


def test_quarantine_has_what_could_not_be_used(result: dict[str, Any]) -> None:
    quarantine = pd.read_parquet(result["quarantine"])
    assert quarantine[["id", "input", "reason", "scored"]].values.tolist() == [
        ["new-900", "picture", "no such file", True],
        ["new-1000", "row", "no input at all (every input is missing)", False],
    ]


def test_there_is_one_mlflow_run_with_counts_and_rates(
    project: Project, first_run: dict[str, Any], result: dict[str, Any]
) -> None:
    client = MlflowClient(project.tracking_uri)
    run = client.get_run(result["mlflow_run"])
    of_job = client.search_runs([run.info.experiment_id], "tags.kind = 'score'")
    assert [each.info.run_id for each in of_job] == [result["mlflow_run"]]
    assert run.info.status == "FINISHED"
    assert run.data.tags["model"] == "models:/tiny/1"
    assert run.data.tags["model_run"] == first_run["mlflow_run"]
    metrics = run.data.metrics
    assert (metrics["rows"], metrics["rows_scored"], metrics["rows_not_scored"]) == (ROWS, ROWS - 1, 1)
    assert metrics["quarantine_rate"] == 2 / ROWS
    assert metrics["picture_missing_rate"] == pytest.approx(0.05, abs=0.01)
    assert metrics["abstain_rate"] == result["abstained"]["label"] / (ROWS - 1)
    names = {file.path for file in client.list_artifacts(result["mlflow_run"])}
    assert {"quarantine.parquet", "tables"} <= names
    assert sum(result["labels"]["label"].values()) == ROWS - 1


def test_the_database_has_each_row_once_and_the_password_is_nowhere(
    project: Project, prefect_folder: Path, result: dict[str, Any]
) -> None:
    assert result["written_to_sql"] == ROWS - 1
    with sa.create_engine(f"sqlite:///{project.folder / 'scores.db'}").connect() as connection:
        stored = pd.read_sql("predictions", connection)
    predictions = pd.read_parquet(result["predictions"])
    assert len(stored) == len(predictions)
    pd.testing.assert_series_equal(
        stored.set_index("id")["label"].sort_index(), predictions.set_index("id")["label"].sort_index(),
        check_dtype=False, check_index_type=False,
    )  # fmt: skip
    paths = [*project.folder.rglob("*"), *prefect_folder.rglob("*")]
    files = [path for path in paths if path.is_file() and path.suffix != ".png"]
    assert any(b"new.csv" in path.read_bytes() for path in files if path.name.startswith("prefect.db"))
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


def test_a_finished_job_does_nothing(project: Project, table: Path, result: dict[str, Any]) -> None:
    again = score(project, table, "--sql", "${SCORES}", SCORES=f"sqlite:///{project.folder / 'scores.db'}")
    assert again["repeated"]
    assert again["written_to_sql"] == 0
    assert {**again, "repeated": False, "written_to_sql": result["written_to_sql"]} == result


def test_what_is_not_there_is_told_before_anything_is_scored(
    project: Project, first_run: dict[str, Any], tmp_path: Path
) -> None:
    at = TrackingConfig(tracking_uri=project.tracking_uri)
    given = {"model": "tiny", "manifest": str(project.folder / "manifest.csv"), "out": str(tmp_path)}
    unreachable = {**given, "sql": f"sqlite:///{tmp_path / 'no' / 'such.db'}"}
    with pytest.raises(BraidError, match=r"there is no model and no run 'nobody'.*registered models: tiny"):
        open_task.fn(ScoreConfig.model_validate({**given, "model": "nobody"}), at, project.workspace)
    with pytest.raises(BraidError, match="unable to open database file"):
        open_task.fn(ScoreConfig.model_validate(unreachable), at, project.workspace)
