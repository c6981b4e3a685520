"""Manifests from a query to a SQL database."""

import logging
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from components.data.sources.database import open_database
from components.data.sources.manifest import Batch, Manifest
from components.errors import DataError

logger = logging.getLogger(__name__)

_BATCH = 256  # rows; few, as they may hold images
_ORDER = re.compile(r"\border\s+by\b", re.IGNORECASE)


def open_query(url: str, query: str, root: str) -> Manifest:
    """Open the result of a query as a manifest; each pass over its rows runs the query again.

    Args:
        url: SQLAlchemy URL; ``${NAME}`` is replaced by the environment variable.
        query: One SELECT, whose columns become the manifest's. Media are bytes, paths or URLs.
        root: Folder where relative media paths start.

    Raises:
        DataError: If the database cannot be reached or refuses the query.
        ConfigError: If the URL is not valid, or a variable is not set.
        BraidError: If the driver is not installed.
    """
    database = open_database(url, "data.source")
    file = database.engine.url.database
    if (
        database.engine.dialect.name == "sqlite" and file and not Path(file).exists()
    ):  # SQLite would create it
        raise DataError(f"data.source: there is no {file} (looked up in the working directory, {Path.cwd()})")
    if not _ORDER.search(query):
        logger.warning(
            "data.query: without 'order by' the database may give its rows in another order each time. The "
            "splits that braid draws depend on row ids and stay equal, worst samples and digests may differ."
        )
    data_errors = partial(database.errors_as, DataError, f"data.source {database.shown}")
    with data_errors(), database.engine.connect() as connection:
        columns = tuple(connection.execution_options(stream_results=True).execute(sa.text(query)).keys())
    duplicates = sorted({name for name in columns if columns.count(name) > 1})
    if duplicates:
        raise DataError(
            f"data.query: gives the column {duplicates[0]!r} twice; give one of them another name (as ...)"
        )

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        indices = [columns.index(name) for name in wanted]
        with data_errors(), database.engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True, max_row_buffer=_BATCH)
            for rows in streaming.execute(sa.text(query)).partitions(_BATCH):
                yield {
                    name: [row[index] for row in rows] for name, index in zip(wanted, indices, strict=True)
                }

    return Manifest(database.shown.rsplit("/", 1)[-1] or "query", database.shown, root, columns, batches)
