"""Looks at many media files, several at a time, and remembers what it found.

A file whose path, size and time of change are known is not opened again.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import PIL
import soundfile as sf
from PIL import Image

import components.data.files.media as media
from components.data.files.location import is_url, read_bytes, version
from components.data.files.media import MediaFacts, inspect
from components.storage.digest import code_digest, digest

logger = logging.getLogger(__name__)

MISSING = "no such file"
_TABLES = """
CREATE TABLE IF NOT EXISTS media (
    path TEXT, modality TEXT, version TEXT, digest TEXT, reason TEXT, peak REAL, PRIMARY KEY (path, modality)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS judges (code TEXT);
"""
_CHUNK = 512  # files that are asked for and kept together
_TOGETHER = 32  # files that a thread looks at in one go
_WAIT = 60.0  # seconds, for another run that writes

Media = tuple[str, str]
"""Path or URL, and modality."""
Known = tuple[str, MediaFacts]
"""Version of a file, and what was found."""


class MediaIndex:
    """What is known of files from earlier looks, kept in an SQLite file, which runs may share.

    Use it in a ``with`` block.

    Args:
        path: The file; need not exist. What other checking code found is forgotten, a damaged file replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        judges = digest(code_digest(media), PIL.__version__, sf.__version__, sf.__libsndfile_version__)
        try:
            self._database = _opened(path, judges)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, no room, no permission: not damaged
                raise
            logger.warning("%s cannot be read (%s): all media files are looked at again", path, error)
            path.unlink()
            self._database = _opened(path, judges)
        self._pools: dict[int, ThreadPoolExecutor] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)
        self._database.close()

    def look(self, files: Iterable[Media]) -> dict[Media, MediaFacts]:
        """Facts of each file, opening those that are new or have changed, each once."""
        facts: dict[Media, MediaFacts] = {}
        with warnings.catch_warnings():
            # inspect() refuses large pictures by itself
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            for chunk in _chunks(dict.fromkeys(files), _CHUNK):
                known = self._known(chunk)
                fresh = []
                for file, (stamp, found) in zip(chunk, self._looked(chunk, known), strict=True):
                    facts[file] = found
                    if stamp is not None and known.get(file) != (stamp, found):
                        fresh.append((*file, stamp, found.digest, found.reason, found.peak))
                if fresh:
                    with self._database:
                        self._database.executemany(
                            "INSERT OR REPLACE INTO media VALUES (?, ?, ?, ?, ?, ?)", fresh
                        )
        return facts

    def _looked(
        self, files: list[Media], known: dict[Media, Known]
    ) -> Iterator[tuple[str | None, MediaFacts]]:
        """Version of each file, None if it was not to be had, and the facts; several files at a time."""
        workers = 16 if any(is_url(path) for path, _ in files) else min(8, 2 * (os.cpu_count() or 1))
        pool = self._pools.setdefault(workers, ThreadPoolExecutor(workers))

        def part(some: Sequence[Media]) -> list[tuple[str | None, MediaFacts]]:
            return [look(file, known.get(file)) for file in some]

        for found in pool.map(part, _chunks(files, _TOGETHER)):
            yield from found

    def _known(self, files: list[Media]) -> dict[Media, Known]:
        places = ", ".join("?" * len(files))
        rows = self._database.execute(
            f"SELECT path, modality, version, digest, reason, peak FROM media WHERE path IN ({places})",
            [path for path, _ in files],
        )
        return {
            (path, modality): (stamp, MediaFacts(key, reason, peak))
            for path, modality, stamp, key, reason, peak in rows
        }


def _opened(path: Path, judges: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_WAIT)
    database.executescript(_TABLES)
    with database:
        if database.execute("SELECT code FROM judges").fetchall() != [(judges,)]:
            database.execute("DELETE FROM media")
            database.execute("DELETE FROM judges")
            database.execute("INSERT INTO judges VALUES (?)", [judges])
    return database


def look(file: Media, known: Known | None = None) -> tuple[str | None, MediaFacts]:
    """Version of one file, None if it was not to be had, and the facts.

    Args:
        file: What to look at.
        known: Version and facts of an earlier look; a file that has not changed since is not opened.
    """
    path, modality = file
    try:
        stamp = version(path)
        if known and known[0] == stamp:
            return known
        return stamp, inspect(read_bytes(path), modality)
    except FileNotFoundError:
        return None, MediaFacts(None, MISSING)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        return None, MediaFacts(None, f"cannot be read ({getattr(error, 'strerror', None) or error})")


def _chunks(files: Iterable[Media], most: int) -> Iterator[list[Media]]:
    rest = iter(files)
    while chunk := list(islice(rest, most)):
        yield chunk
