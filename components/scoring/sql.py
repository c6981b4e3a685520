"""Predictions in a table of a SQL database: repeated writes leave each row once."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from components.data.sources.database import open_database
from components.errors import BraidError
from components.storage.names import outside_names

_KEY = ("run_id", "row")  # as a job has one run, and in it each row of the table has one prediction


class Sink:
    """Table that predictions are written to.

    A column is named as its prediction if databases take that name, else as :func:`outside_names` writes it.

    Args:
        url: SQLAlchemy URL. ``${NAME}`` stands for an environment variable.
        table: Name of the table, which is created if it does not exist.

    Raises:
        ConfigError: If the URL is invalid, or a variable is not set.
        BraidError: If the driver is not installed.
    """

    def __init__(self, url: str, table: str) -> None:
        self._database = open_database(url, "--sql")
        self._engine = self._database.engine
        self.shown = self._database.shown
        self.table = table

    def check(self, schema: pa.Schema) -> None:
        """Check that the database responds, and that an existing table has the columns; change nothing.

        Raises:
            BraidError: If the database cannot be reached, or a column is missing.
        """
        with self._errors(), self._engine.connect() as connection:
            inspector = sa.inspect(connection)
            if not inspector.has_table(self.table):
                return
            known = {column["name"] for column in inspector.get_columns(self.table)}
        absent = [name for name in outside_names(schema.names).values() if name not in known]
        if absent:
            raise BraidError(
                f"--table {self.table}: exists in {self.shown} without column "
                f"{', '.join(map(repr, absent))}, so it belongs to another model. Name another --table"
            )

    def write(self, parts: Sequence[Path]) -> int:
        """Write the parts of one job, one per transaction; skip those that are written already.

        Args:
            parts: Parquet files with the same columns, among them ``run_id`` and ``row``.

        Returns:
            Number of rows written now.

        Raises:
            BraidError: If the database cannot be reached or written to. Written parts stay.
        """
        table = _table(self.table, pq.read_schema(parts[0]))
        written = 0
        with self._errors():
            table.metadata.create_all(self._engine)
            for part in parts:
                with self._engine.begin() as connection:
                    written += _write(connection, table, pq.read_table(part))
        return written

    def _errors(self) -> AbstractContextManager[None]:
        return self._database.errors_as(BraidError, f"--sql {self.shown}, table {self.table}")


def _table(name: str, schema: pa.Schema) -> sa.Table:
    columns = outside_names(schema.names)
    return sa.Table(
        name,
        sa.MetaData(),
        *(
            sa.Column(columns[field.name], _type(field), primary_key=field.name in _KEY, autoincrement=False)
            for field in schema
        ),
    )


def _type(field: pa.Field) -> sa.types.TypeEngine[Any]:
    if pa.types.is_boolean(field.type):
        return sa.Boolean()
    if pa.types.is_integer(field.type):
        return sa.BigInteger()
    if pa.types.is_floating(field.type):
        return sa.Double()
    return sa.String(64) if field.name in _KEY else sa.Text()  # as a key needs a length in some databases


def _write(connection: sa.Connection, table: sa.Table, part: pa.Table) -> int:
    """Write the rows of one part, unless all of them are in the table; count them."""
    if not len(part):
        return 0
    rows = part.rename_columns(outside_names(part.column_names)).to_pylist()
    own = sa.and_(table.c.run_id == rows[0]["run_id"], table.c.row.between(rows[0]["row"], rows[-1]["row"]))
    if connection.scalar(sa.select(sa.func.count()).select_from(table).where(own)) == len(rows):
        return 0
    connection.execute(sa.delete(table).where(own))
    connection.execute(sa.insert(table), rows)
    return len(rows)
