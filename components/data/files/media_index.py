"""Index of the facts of media files, which are inspected several at a time.

A file whose path, size and time of change are in the index is not opened again.
"""

import logging
import os
import shutil
import sqlite3
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import PIL
import soundfile as sf
from PIL import Image

from components.data.files.location import is_url, other_case, read_bytes, version
from components.data.files.media import MediaFacts, inspect
from components.storage.closure import code_digest
from components.storage.digest import digest

logger = logging.getLogger(__name__)

MISSING = "no such file"
"""Beginning of the reason of a file that does not exist."""
_TABLE = """
CREATE TABLE IF NOT EXISTS media (
    path TEXT, modality TEXT, version TEXT, digest TEXT, reason TEXT, peak REAL, contrast REAL, top REAL,
    frames INTEGER, rate INTEGER, seekable INTEGER,
    PRIMARY KEY (path, modality)
) WITHOUT ROWID;
"""
_CHUNK = 512  # files per query and transaction
_PER_THREAD = 32  # files that a thread inspects before it returns
_WAIT = 60.0  # seconds, while another run writes

Media = tuple[str, str]
"""Path or URL, and modality."""
Known = tuple[str, MediaFacts]
"""Version and facts of a file."""


class MediaIndex:
    """Facts of media files in an SQLite file, which runs may share; used in a ``with`` block.

    Args:
        path: SQLite file, which need not exist. Facts that other code or other decoders found are deleted,
            and a damaged file is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        program = shutil.which("ffmpeg") or ""  # its arrival makes more files readable
        code = digest(
            code_digest(inspect), PIL.__version__, sf.__version__, sf.__libsndfile_version__, program
        )
        try:
            self._database = _open(path, code)
        except sqlite3.DatabaseError as error:
            if isinstance(
                error, sqlite3.OperationalError
            ):  # locked, full disk or no permission: the file is not damaged
                raise
            logger.warning("%s cannot be read (%s): all media files are inspected again", path, error)
            path.unlink()
            self._database = _open(path, code)
        self._pools: dict[int, ThreadPoolExecutor] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)
        self._database.close()

    def inspect(self, files: Iterable[Media]) -> dict[Media, MediaFacts]:
        """Return the facts of each file; only new and changed files are opened, each once."""
        facts: dict[Media, MediaFacts] = {}
        with warnings.catch_warnings():
            # The warning would be noise, as the inspection refuses large images.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            for chunk in _chunks(dict.fromkeys(files), _CHUNK):
                known = self._known(chunk)
                fresh = []
                for file, (stamp, fact) in zip(chunk, self._inspect(chunk, known), strict=True):
                    facts[file] = fact
                    if stamp is not None and known.get(file) != (stamp, fact):
                        fresh.append((*file, stamp, *astuple(fact)))
                if fresh:
                    with self._database:
                        self._database.executemany(
                            "INSERT OR REPLACE INTO media VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", fresh
                        )
        return facts

    def _inspect(
        self, files: list[Media], known: dict[Media, Known]
    ) -> Iterator[tuple[str | None, MediaFacts]]:
        """Inspect files in several threads; see :func:`look` for the results, which come in order."""
        workers = 16 if any(is_url(path) for path, _ in files) else min(8, 2 * (os.cpu_count() or 1))
        pool = self._pools.setdefault(workers, ThreadPoolExecutor(workers))

        def inspect_part(part: Sequence[Media]) -> list[tuple[str | None, MediaFacts]]:
            return [look(file, known.get(file)) for file in part]

        for results in pool.map(inspect_part, _chunks(files, _PER_THREAD)):
            yield from results

    def _known(self, files: list[Media]) -> dict[Media, Known]:
        """Return version and facts of the files that are in the index."""
        parameters = ", ".join("?" * len(files))
        rows = self._database.execute(
            f"SELECT * FROM media WHERE path IN ({parameters})",
            [path for path, _ in files],
        )
        return {(path, modality): (stamp, MediaFacts(*facts)) for path, modality, stamp, *facts in rows}


def _open(path: Path, code: str) -> sqlite3.Connection:
    """Open the index, and empty it if other code made it."""
    database = sqlite3.connect(path, timeout=_WAIT)
    database.execute("CREATE TABLE IF NOT EXISTS judges (code TEXT)")
    with database:
        database.execute("BEGIN IMMEDIATE")
        if database.execute("SELECT code FROM judges").fetchall() != [(code,)]:
            database.execute("DROP TABLE IF EXISTS media")  # other code may have had other columns
            database.execute("DELETE FROM judges")
            database.execute("INSERT INTO judges VALUES (?)", [code])
        database.execute(_TABLE)
    return database


def look(file: Media, known: Known | None = None) -> tuple[str | None, MediaFacts]:
    """Inspect one file.

    Args:
        file: Path or URL, and modality.
        known: Version and facts from an earlier inspection; an unchanged file is not opened.

    Returns:
        Version of the file, None if it cannot be read; its facts.
    """
    path, modality = file
    try:
        stamp = version(path)
        if known and known[0] == stamp:
            return known
        return stamp, inspect(read_bytes(path), modality)
    except FileNotFoundError:
        other = None if is_url(path) else other_case(path)
        return None, MediaFacts(None, f"{MISSING} (did you mean {other!r}?)" if other else MISSING)
    except (OSError, ValueError) as error:  # ValueError: the path holds a NUL character
        return None, MediaFacts(None, f"cannot be read ({getattr(error, 'strerror', None) or error})")


def _chunks(files: Iterable[Media], most: int) -> Iterator[list[Media]]:
    rest = iter(files)
    while chunk := list(islice(rest, most)):
        yield chunk
