"""A query to a database is a manifest like any other."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from components.config import ConfigError
from components.data.sources.sql import open_query
from components.errors import BraidError, DataError
from components.references import Dataset

Make = Callable[..., Any]
QUERY = "select * from shoes order by id"
IMAGE = {"photo": {"modality": "image", "columns": "photo"}}


@pytest.fixture
def shop(tmp_path: Path, text_rows: Make, picture: Make) -> str:
    """A database whose table has texts, and images as bytes."""
    file = tmp_path / "shop.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("create table shoes (id text, text text, label text, split text, photo blob)")
        for number, row in enumerate(text_rows()):
            content = picture(tmp_path / f"{number}.png", number).read_bytes()
            connection.execute("insert into shoes values (?, ?, ?, ?, ?)", (*row.values(), content))
    return f"sqlite:///{file}"


def test_it_gives_the_samples_that_a_file_gives(
    tmp_path: Path, run: Callable[..., Dataset], text_rows: Make, manifest: Make, shop: str
) -> None:
    in_order = sorted(text_rows(), key=lambda row: row["id"])
    asked, read = run(shop, query=QUERY), run(manifest(tmp_path / "m.csv", in_order))
    assert (asked.digest, asked.splits) == (read.digest, read.splits)
    assert asked.source == shop


def test_pictures_may_be_bytes_in_the_database_or_paths_beside_the_pipeline_file(
    run: Callable[..., Dataset], shop: str
) -> None:
    content = run(shop, IMAGE, query=QUERY)
    paths = "select id, label, split, substr(id, 2) || '.png' as photo from shoes order by id"
    assert (content.rows, content.quarantined) == (20, 0)
    assert run(shop, IMAGE, query=paths).digest == content.digest


def test_rows_come_a_batch_at_a_time_and_again(shop: str, tmp_path: Path) -> None:
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"
    manifest = open_query(shop, endless, str(tmp_path))
    assert manifest.columns == ("i",)
    for _ in range(2):
        assert next(iter(manifest.batches(["i"])))["i"][:3] == [1, 2, 3]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select * from boots order by id", "no such table: boots"),
        ("select id, id from shoes order by id", "data.query: gives the column 'id' twice"),
        ("select id, text, split from shoes order by id", "label"),
    ],
)
def test_a_fault_in_the_query_is_told(
    run: Callable[..., Dataset], shop: str, query: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        run(shop, query=query)


def test_a_database_that_is_not_there_is_told_and_not_made(
    tmp_path: Path, run: Callable[..., Dataset]
) -> None:
    with pytest.raises(DataError, match=r"data\.source: there is no .*lost\.db"):
        run(f"sqlite:///{tmp_path / 'lost.db'}", query=QUERY)
    assert not (tmp_path / "lost.db").exists()


def test_no_password_is_shown_or_kept(
    run: Callable[..., Dataset], pipeline: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP", "hunter2")
    url = "postgresql+psycopg://braid:${SHOP}@127.0.0.1:1/shop?application_name=${SHOP}"
    with pytest.raises(DataError, match=r"postgresql\+psycopg://127\.0\.0\.1/shop: ") as caught:
        run(url, query=QUERY)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in pipeline(url, IMAGE, query=QUERY).model_dump_json()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source": "postgresql://braid:hunter2@db/shop", "query": QUERY}, r"write \$\{NAME\} instead"),
        ({"source": "sqlite:///shop.db", "format": "sql"}, "takes a query"),
        ({"source": "m.csv", "format": "csv", "query": QUERY}, "a query is for a database"),
    ],
)
def test_what_does_not_go_together_is_told(pipeline: Make, data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline(inputs=IMAGE, **data)


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("no url", ConfigError, "data.source: not a SQLAlchemy URL"),
        ("sqlite:///${NOT_SET_ANYWHERE}", ConfigError, "environment variable NOT_SET_ANYWHERE is not set"),
        ("oracle9://host/shop", BraidError, "no driver for it is installed here"),
    ],
)
def test_an_address_that_is_none_is_told(
    run: Callable[..., Dataset], source: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run(source, query=QUERY)
