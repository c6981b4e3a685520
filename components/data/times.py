"""Times of rows in seconds since 1970, and the view of a table as of a day."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.config.data import ColumnConfig, DataConfig
from components.data.cells import UnusableCellError, cells_as_text, word_of
from components.data.dates import Order, has_zone, read_date
from components.data.guess import TableGuess, empty_words
from components.data.sources.manifest import Batch, Manifest
from components.data.sources.readers import open_manifest
from components.data.spelling import plain_number
from components.storage.column import Column

_FIRST, _LAST = 10.0**8, 10.0**11  # seconds since 1970, of the years 1973 to 5138; 20260301 is a day's name
_EMPTY = "the cell is empty"
Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class Times:
    """Times of the N rows of a manifest.

    Attributes:
        at: (N,) seconds since 1970, NaN for a row without a usable time.
        faults: Row and reason of each time that cannot be used.
        findings: What was decided about the column without being certain.
        later: Number of rows of the source that the view does not show, as they are later.
        later_labels: Number of labels that the view does not show.
    """

    at: Seconds
    faults: tuple[tuple[int, str], ...]
    findings: tuple[str, ...]
    later: int = 0
    later_labels: int = 0


def as_of(config: DataConfig, targets: Sequence[str], manifest: Manifest) -> tuple[Manifest, Times | None]:
    """Read the times of the rows, and show a manifest as it was on the day of ``data.as_of``.

    The view has the rows and labels that were known then, so everything that is made of it is what would have
    been made then. A row without a usable time stays in it, for the quarantine.

    Args:
        config: Section ``data``; its columns are in the manifest.
        targets: Columns of labels.
        manifest: The table.

    Returns:
        The view, and the times of its rows; None where rows have no time.
    """
    if config.time is None:
        return manifest, None
    times = read_times(config, config.time, manifest)
    if config.as_of is None:
        return manifest, times
    limit = _limit(config.as_of, ZoneInfo(config.timezone))
    known = ~(times.at > limit)  # (N,); a row without a time is no later one
    labelled, later_labels, findings = np.ones(len(known), bool), 0, times.findings
    if config.labelled_at is not None:
        given = read_times(config, config.labelled_at, manifest)
        labelled = given.at <= limit
        later_labels = int((known & (given.at > limit)).sum())
        unreadable = [fault for fault in given.faults if not fault[1].endswith(_EMPTY)]
        findings += given.findings
        if unreadable:
            row, reason = unreadable[0]
            findings += (f"{len(unreadable)} labels are never known, first in row {row} ({reason})",)
    view = replace(manifest, batches=partial(_batches, manifest, known, labelled, frozenset(targets)))
    number = np.cumsum(known) - 1  # row of the view by row of the manifest
    return view, replace(
        times,
        at=times.at[known],
        faults=tuple((int(number[row]), reason) for row, reason in times.faults),
        findings=findings,
        later=int((~known).sum()),
        later_labels=later_labels,
    )


def open_known(config: DataConfig, targets: Sequence[str], folder: Path, base: Path) -> Manifest:
    """Open a source as of the day of ``data.as_of``; arguments as of :func:`open_manifest`."""
    manifest = open_manifest(config, folder, base)
    has_times = {config.time, config.labelled_at} - {None} <= set(manifest.columns)  # else ingest will say so
    return as_of(config, targets, manifest)[0] if config.as_of is not None and has_times else manifest


def read_times(config: DataConfig, column: str, manifest: Manifest) -> Times:
    """Read a column of times; dates are read in the order of day and month that the column shows."""
    options = config.columns.get(column, ColumnConfig())
    guess = TableGuess(column, "datetime", options)
    parts: list[pa.Array] = []
    reasons: dict[int, str] = {}
    count = 0
    for batch in manifest.batches([column]):
        guess.add(batch[column])
        words, faults = cells_as_text(
            batch[column], word_of, manifest.name, column, count, "a date, a time or seconds since 1970"
        )
        parts.append(pa.array(words, pa.string()))
        reasons.update(faults)
        count += len(words)
    reading, empty, zone = guess.reading(manifest.decimal), empty_words(options), ZoneInfo(config.timezone)
    at = np.full(count, np.nan)
    for row, word in enumerate(Column(pa.chunked_array(parts, pa.string()))):
        if word is None or word in empty:
            reasons.setdefault(row, _EMPTY)
            continue
        try:
            at[row] = seconds_of(word, reading.spelling.dates or "year-first", zone)
        except UnusableCellError as error:
            reasons[row] = str(error)
    faults = [(row, f"time {column}: {reasons[row]}") for row in sorted(reasons)]
    return Times(at, tuple(faults), reading.findings)


def seconds_of(word: str, order: Order, zone: ZoneInfo) -> float:
    """Read a time: seconds since 1970.

    Of an hour that comes twice, as clocks are set back, the first one is meant. One that clocks skip is read
    by the clock before they were set.

    Args:
        word: Date, moment, or number of seconds, as :func:`components.data.cells.word_of` gives it.
        order: Order of day and month where both are numbers and the year is last.
        zone: Time zone of a text that names none.

    Raises:
        UnusableCellError: If it is none of these.
    """
    if plain_number(word) is not None:
        number = float(word)
        if not (math.isfinite(number) and _FIRST <= number < _LAST):
            raise UnusableCellError(
                f"{word[:60]!r} is no number of seconds since 1970 of the years 1973 to 5138, and no date"
            )
        return number
    moment = datetime.fromisoformat(read_date(word, order))
    return moment.replace(tzinfo=UTC if has_zone(word) else zone).timestamp()


def shown(seconds: float, precise: bool = False) -> str:
    """Write a time in UTC: its day, or all of it.

    Example:
        >>> shown(86400.0)
        '1970-01-02'
    """
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return moment.isoformat() if precise else moment.date().isoformat()


def _limit(text: str, zone: ZoneInfo) -> float:
    """Return the last moment of a day, or the moment, in seconds since 1970."""
    try:
        following = date.fromisoformat(text) + timedelta(days=1)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    return float(np.nextafter(datetime.combine(following, time(), zone).timestamp(), -math.inf))


def _batches(
    manifest: Manifest,
    known: NDArray[np.bool_],
    labelled: NDArray[np.bool_],
    targets: frozenset[str],
    columns: Sequence[str],
) -> Iterator[Batch]:
    """Read the rows that are known, with the labels that are."""
    first = 0
    for batch in manifest.batches(columns):
        stop = first + len(batch[columns[0]])
        rows = np.flatnonzero(known[first:stop]).tolist()
        if rows:
            yield {
                column: [
                    None if column in targets and not labelled[first + row] else batch[column][row]
                    for row in rows
                ]
                for column in columns
            }
        first = stop
