"""Databases made from SQL statements."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from components.storage.tables import make_tables

STATEMENTS = "BEGIN TRANSACTION;\nCREATE TABLE runs (id TEXT);\nINSERT INTO runs VALUES ('a;b');\nCOMMIT;\n"


def rows(database: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("select id from runs").fetchall()


def test_a_new_database_has_the_tables_and_an_existing_one_is_kept(tmp_path: Path) -> None:
    statements, database = tmp_path / "tables.sql", tmp_path / "new.db"
    statements.write_text(STATEMENTS, "utf-8")
    database.touch(mode=0o600)
    make_tables(database, statements)
    assert rows(database) == [("a;b",)]
    assert database.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("insert into runs values ('mine')")
    make_tables(database, statements)
    assert rows(database) == [("a;b",), ("mine",)]


def test_tables_of_an_unknown_version_are_left_to_the_library(tmp_path: Path) -> None:
    make_tables(tmp_path / "new.db", tmp_path / "tables-9.sql")
    assert not (tmp_path / "new.db").exists()


def test_statements_that_fail_leave_no_tables(tmp_path: Path) -> None:
    statements, database = tmp_path / "tables.sql", tmp_path / "new.db"
    statements.write_text("BEGIN;\nCREATE TABLE runs (id TEXT);\nCREATE nonsense;\nCOMMIT;\n", "utf-8")
    with pytest.raises(sqlite3.OperationalError):
        make_tables(database, statements)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("select name from sqlite_master").fetchall() == []
