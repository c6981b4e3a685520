"""What a query to a SQL database gives, as a manifest."""

from __future__ import annotations

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

_BATCH = 256  # rows may carry pictures
_ORDER = re.compile(r"\border\s+by\b", re.IGNORECASE)


def open_query(url: str, query: str, root: str) -> Manifest:
    """Open the rows that a query gives. It is asked again for each pass over them, a batch at a time.

    Args:
        url: SQLAlchemy URL. ``${NAME}`` stands for an environment variable.
        query: One SELECT. Its columns are the manifest's; media are bytes, paths or URLs.
        root: Folder that relative media paths start from.

    Raises:
        DataError: If the database cannot be reached or refuses the query.
        ConfigError: If the URL is none, or a variable is not set.
        BraidError: If the driver is not installed.
    """
    database = open_database(url, "data.source")
    file = database.engine.url.database
    if database.engine.dialect.name == "sqlite" and file and not Path(file).exists():  # it would be made
        raise DataError(f"data.source: there is no {file} (looked up in the working directory, {Path.cwd()})")
    if not _ORDER.search(query):
        logger.warning(
            "data.query: without 'order by' the database may give its rows in another order each time; the "
            "splits that braid draws go by row ids and stay, but worst samples and digests may differ"
        )
    told = partial(database.told, DataError, f"data.source {database.shown}")
    with told(), database.engine.connect() as connection:
        columns = tuple(connection.execution_options(stream_results=True).execute(sa.text(query)).keys())
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(
            f"data.query: gives the column {twice[0]!r} twice; name one of them otherwise (as ...)"
        )

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        places = [columns.index(name) for name in wanted]
        with told(), database.engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True, max_row_buffer=_BATCH)
            for rows in streaming.execute(sa.text(query)).partitions(_BATCH):
                yield {name: [row[place] for row in rows] for name, place in zip(wanted, places, strict=True)}

    return Manifest(database.shown.rsplit("/", 1)[-1] or "query", database.shown, root, columns, batches)
