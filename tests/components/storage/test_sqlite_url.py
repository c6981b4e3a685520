"""Addresses of SQLite files."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from components.errors import ConfigError
from components.storage.sqlite_url import sqlite_file, sqlite_url

FOLDERS = [
    "plain",
    "a%b",
    "100%",
    "a b",
    "Größe",
    "a#b",
    "a+b",
    "a;b",
    "a:b",
    "a'b",
    "日本",
]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("driver", ["", "aiosqlite"])
def test_sqlalchemy_makes_the_file_that_was_meant(tmp_path: Path, folder: str, driver: str) -> None:
    file = tmp_path / folder / "x.db"
    file.parent.mkdir()
    url = sqlite_url(file, driver)
    assert sa.make_url(url).drivername == ("sqlite+aiosqlite" if driver else "sqlite")
    assert sa.make_url(url).database == str(file)
    if not driver:
        assert sqlite_file(url) == file
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("create table t (x int)"))
        engine.dispose()
        assert [path.name for path in tmp_path.rglob("*.db")] == ["x.db"]


@pytest.mark.parametrize("folder", ["what?", "a?x=1", "a%25b", "a%3Fb", "a%2fb"])
def test_a_folder_that_would_be_read_as_another_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ConfigError, match="choose another --workspace"):
        sqlite_url(tmp_path / folder / "x.db")


def test_other_databases_are_no_files() -> None:
    assert sqlite_file("postgresql://host/x") is None
    assert sqlite_file("http://127.0.0.1:5000") is None
