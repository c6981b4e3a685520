"""Looks at many media files, several at a time, and remembers what it found.

A file whose path, size and time of change are known is not opened again.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import PIL
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile as sf
from PIL import Image

import components.data.media as media
from components.data.location import is_url, read_bytes, version
from components.data.media import MediaFacts, inspect
from components.storage.atomic import replacing
from components.storage.digest import code_digest, digest

logger = logging.getLogger(__name__)

MISSING = "no such file"
_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("modality", pa.string()),
        ("version", pa.string()),
        ("digest", pa.string()),
        ("reason", pa.string()),
        ("peak", pa.float64()),
    ]
)
_CHUNK = 512
_SAVE_SECONDS = 30.0

Media = tuple[str, str]
"""Path or URL, and modality."""


class MediaIndex:
    """What is known of files from earlier looks, kept in a Parquet file.

    Args:
        path: The file; need not exist. One written by other checking code, or damaged, is not used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._judges = digest(code_digest(media), PIL.__version__, sf.__version__, sf.__libsndfile_version__)
        self._known: dict[Media, tuple[str, MediaFacts]] = self._load()

    def look(
        self, files: Iterable[Media], progress: Callable[[int, int], None] | None = None
    ) -> dict[Media, MediaFacts]:
        """Facts of each file, opening those that are new or have changed, each once.

        Args:
            files: What to look at.
            progress: Told after each some files how many of how many are done.
        """
        wanted = list(dict.fromkeys(files))
        workers = 16 if any(is_url(path) for path, _ in wanted) else min(8, 2 * (os.cpu_count() or 1))
        facts: dict[Media, MediaFacts] = {}
        saved, fresh = time.monotonic(), False
        with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
            # inspect() refuses large pictures by itself
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            for chunk in _chunks(wanted):
                for file, (stamp, found) in zip(chunk, pool.map(self._look, chunk), strict=True):
                    facts[file] = found
                    if stamp is not None and self._known.get(file) != (stamp, found):
                        self._known[file] = (stamp, found)
                        fresh = True
                if progress:
                    progress(len(facts), len(wanted))
                if fresh and time.monotonic() - saved > _SAVE_SECONDS:
                    self._save()
                    saved, fresh = time.monotonic(), False
        if fresh:
            self._save()
        return facts

    def _look(self, file: Media) -> tuple[str | None, MediaFacts]:
        """Version of the file, None if it was not to be had, and the facts."""
        return look(file, self._known.get(file))

    def _load(self) -> dict[Media, tuple[str, MediaFacts]]:
        if not self.path.exists():
            return {}
        try:
            table = pq.read_table(self.path)
        except (pa.ArrowException, OSError) as error:
            logger.warning("%s cannot be read (%s): all media files are looked at again", self.path, error)
            return {}
        if (table.schema.metadata or {}).get(
            b"judges"
        ) != self._judges.encode() or table.column_names != _SCHEMA.names:
            return {}
        columns = [table.column(name).to_pylist() for name in _SCHEMA.names]
        return {
            (path, modality): (stamp, MediaFacts(key, reason, peak))
            for path, modality, stamp, key, reason, peak in zip(*columns, strict=True)
        }

    def _save(self) -> None:
        rows = [
            {"path": path, "modality": modality, "version": stamp, **asdict(facts)}
            for (path, modality), (stamp, facts) in self._known.items()
        ]
        table = pa.Table.from_pylist(rows, _SCHEMA.with_metadata({"judges": self._judges}))
        with replacing(self.path) as temporary:
            pq.write_table(table, temporary, compression="zstd")


def look(file: Media, known: tuple[str, MediaFacts] | None = None) -> tuple[str | None, MediaFacts]:
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


def _chunks(files: list[Media]) -> Iterator[list[Media]]:
    rest = iter(files)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
