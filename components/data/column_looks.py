"""Columns of a table that nobody has described: what each holds, by its content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePath
from typing import Any, Literal

from PIL import Image

from components.config.data import ColumnConfig
from components.data.cells import UnusableCellError, allowed, word_of
from components.data.files.location import read_bytes
from components.data.files.media import inspect
from components.data.guess import Reading, TableGuess
from components.data.sources.manifest import Manifest
from components.data.spelling import EMPTY
from components.data.values import read_media

Modality = Literal["image", "audio"]
Content = Literal["image", "audio", "text", "table", "unique", "constant", "empty", "nested"]

ROWS = 20_000
"""Rows of which every column is looked at; columns that may be ids or classes are looked at in all."""
MODALITIES: tuple[Modality, ...] = ("image", "audio")
_OPENED = 12  # media files per column
_DISTINCT = 50_000  # words that are counted per column
_CLASSES = 1000  # different words up to which a column may be a target
_WORDS = 2.5  # words per cell from which on cells that rarely repeat are running text
_RARELY = 0.5  # share of different cells from which on a column of words repeats rarely
_SUFFIXES = {
    **dict.fromkeys(
        (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".tif", ".tiff", ".bmp", ".jp2"), "image"
    ),
    **dict.fromkeys((".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus", ".m4a", ".au"), "audio"),
}


@dataclass(frozen=True)
class Opened:
    """Media files of a column that were opened.

    Attributes:
        modality: ``image`` or ``audio``.
        tried: Number of files.
        usable: Number of those that can be used.
        absent: Number of those that are not there.
        sizes: Shorter sides of the images in pixels, or lengths of the clips in seconds.
        rates: Sampling rates of the clips in Hz.
        fault: Reason why one cannot be used; None where all can.
    """

    modality: Modality
    tried: int
    usable: int
    absent: int
    sizes: tuple[float, ...]
    rates: tuple[int, ...] = ()
    fault: str | None = None


class ColumnLook:
    """Look at the cells of one column, in any number of parts.

    Args:
        name: Name of the column.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.guess = TableGuess(name, None, ColumnConfig())
        self.counts: Counter[str] = Counter()
        self.rows = self.looked = self.filled = self.nested = 0
        self._words = 0
        self._media: list[Any] = []

    def add(self, cells: Sequence[Any]) -> None:
        """Look at further cells."""
        self.rows += len(cells)
        self.looked += len(cells)
        for cell in cells:
            if isinstance(cell, bytes | dict):
                self.filled += 1
                self.nested += 1
                self._sample(cell)
                continue
            try:
                word = word_of(cell)
            except (TypeError, UnusableCellError):
                self.filled += 1
                self.nested += 1
                continue
            if word is None or word in EMPTY:
                continue
            self.filled += 1
            self.nested += isinstance(cell, list | tuple)
            self._words += len(word.split())
            if word in self.counts or len(self.counts) < _DISTINCT:
                self.counts[word] += 1
            if isinstance(cell, str):
                self._sample(cell)
        self.guess.add(cell for cell in cells if not isinstance(cell, bytes | dict | list | tuple))

    def _sample(self, cell: Any) -> None:
        """Keep some cells that may name or hold a file: the first ones, and then one of each doubling."""
        if len(self._media) < _OPENED or self.filled.bit_count() == 1:
            self._media.append(cell)

    @property
    def could_be_key(self) -> bool:
        """True while the column may name each row, or hold few different words, such as classes."""
        return len(self.counts) < _DISTINCT and (self.distinct == self.filled or self.distinct <= _CLASSES)

    @property
    def distinct(self) -> int:
        """Number of different filled cells."""
        return len(self.counts)

    @property
    def words(self) -> float:
        """Mean number of words per filled cell."""
        return self._words / max(1, sum(self.counts.values()))

    def reading(self, manifest: Manifest) -> Reading:
        """Rule by which the cells are read, as ``braid check`` gives it."""
        return self.guess.reading(manifest.decimal)

    def media(self, manifest: Manifest) -> Opened | None:
        """Open some of the files that the cells name or hold; None where they are no images and no audio."""
        modality = self._modality()
        if modality is None:
            return None
        sizes: list[float] = []
        rates: list[int] = []
        absent = 0
        fault: str | None = None
        for cell in self._media:
            try:
                data = _content(cell, manifest)
            except FileNotFoundError:
                absent += 1
                continue
            except (OSError, ValueError, UnusableCellError) as error:
                fault = str(error)
                continue
            facts = inspect(data, modality)
            if facts.reason is not None:
                fault = facts.reason
            elif modality == "image":
                with Image.open(BytesIO(data)) as image:
                    sizes.append(float(min(image.size)))
            else:
                rates.append(facts.rate or 0)
                sizes.append((facts.frames or 0) / (facts.rate or 1))
        return Opened(modality, len(self._media), len(sizes), absent, tuple(sizes), tuple(rates), fault)

    def _modality(self) -> Modality | None:
        kinds = Counter(_kind_of(cell) for cell in self._media)
        for modality in MODALITIES:
            if 2 * kinds[modality] > len(self._media):
                return modality
        return None

    def content(self, manifest: Manifest) -> Content:
        """Say what the column holds, where it holds no files."""
        if not self.filled:
            return "empty"
        if 2 * self.nested > self.filled:
            return "nested"
        if self.distinct == 1:
            return "constant"
        reading = self.reading(manifest)
        if reading.spelling.kind != "word" and not reading.is_code:
            return "table"
        rarely = self.distinct > _RARELY * self.filled
        if not rarely:
            return "table"
        return "text" if self.words >= _WORDS and not reading.is_code else "unique"


def _kind_of(cell: Any) -> str | None:
    """Give the modality that a cell is of, by the name of its file or by its bytes."""
    if isinstance(cell, str):
        if cell.startswith("data:"):
            return cell[5:].partition("/")[0]
        return _SUFFIXES.get(PurePath(cell.strip().partition("?")[0]).suffix.lower())
    with suppress(OSError, ValueError, TypeError, UnusableCellError):
        data = read_media(_plain(cell))
        if isinstance(data, bytes):
            return next((kind for kind in MODALITIES if inspect(data, kind).reason is None), None)
        return _SUFFIXES.get(PurePath(data).suffix.lower())
    return None


def _content(cell: Any, manifest: Manifest) -> bytes:
    """Read the bytes behind a cell, inside the folders that the table may name."""
    value = read_media(_plain(cell))
    if isinstance(value, bytes):
        return value
    return read_bytes(allowed(manifest.root, str(value), manifest.roots))


def _plain(cell: Any) -> Any:
    """Take the bytes or the path of a mapping, as Hugging Face data sets embed media."""
    return (cell.get("bytes") or cell.get("path")) if isinstance(cell, dict) else cell
