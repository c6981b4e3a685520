"""New SQLite databases whose tables are there at once."""

import sqlite3
from contextlib import closing
from pathlib import Path


def make_tables(database: Path, statements: Path) -> None:
    """Make the tables of a new database in one transaction, from a file of SQL statements.

    A library makes its tables by all migrations since its first release, which takes seconds, unless it finds
    them. The caller holds a lock, since libraries do not wait for each other.

    Args:
        database: File of the database. One that is not empty is kept as it is.
        statements: Written by ``make schemas`` for one version of a library. Where there is no such file, the
            library makes its tables itself.
    """
    if not statements.exists() or (database.exists() and database.stat().st_size):
        return
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(statements.read_text("utf-8"))
