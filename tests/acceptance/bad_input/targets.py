"""Targets of fuzzing and property tests: each takes any bytes, and raises only where braid is wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from components.config import ConfigError, load_pipeline
from components.data.sources.arrow_files import PARQUET, open_arrow
from components.data.sources.delimited import open_delimited
from components.data.sources.json_lines import open_jsonl
from components.errors import DataError
from tests.acceptance.bad_input import audio, configs, images, manifests
from tests.acceptance.bad_input.case import Case
from tests.acceptance.bad_input.oracle import SubstitutedError, try_audio, try_image, try_text

_FOLDER = Path(tempfile.mkdtemp(prefix="braid-bad-input-"))


def image_bytes(data: bytes) -> None:
    """Check that ingest and preprocessing agree on any bytes of an image."""
    try_image(Case("images", "", data, "either"))


def audio_bytes(data: bytes) -> None:
    """Check that ingest and preprocessing agree on any bytes of audio."""
    try_audio(Case("audio", "", data, "either"))


def text(data: bytes) -> None:
    """Any text has tokens of the vocabulary, or is refused."""
    halves = data[: len(data) // 2 * 2].decode("utf-16-le", "surrogatepass")
    cell = halves if len(data) % 2 else data.decode("utf-8", "replace")
    try_text(Case("texts", "", cell, "either", cell))


def _written(data: bytes, ending: str) -> str:
    path = _FOLDER / f"rows{ending}"
    path.write_bytes(data)
    return str(path)


def delimited(data: bytes) -> None:
    """Every row of a CSV that can be read has a cell for each column."""
    try:
        manifest = open_delimited(_written(data, ".csv"), ",")
        for batch in manifest.batches(manifest.columns):
            if len({len(cells) for cells in batch.values()}) != 1:
                raise SubstitutedError("columns of different lengths")
    except DataError:
        return


def json_lines(data: bytes) -> None:
    """The same of JSON lines."""
    try:
        manifest = open_jsonl(_written(data, ".jsonl"))
        for batch in manifest.batches(manifest.columns):
            if any(len(cells) != 1 for cells in batch.values()):
                raise SubstitutedError("not one cell a column")
    except DataError:
        return


def parquet(data: bytes) -> None:
    """The same of Parquet."""
    try:
        manifest = open_arrow(_written(data, ".parquet"), PARQUET)
        for batch in manifest.batches(manifest.columns):
            if len({len(cells) for cells in batch.values()}) != 1:
                raise SubstitutedError("columns of different lengths")
    except DataError:
        return


def config(data: bytes) -> None:
    """Any file is a pipeline or an error that says where."""
    path = Path(_written(data, ".yaml"))
    try:
        load_pipeline(path)
    except ConfigError as error:
        if str(path) not in str(error):
            raise SubstitutedError(f"does not name the file: {error}") from error


def _contents(cases: list[Case]) -> list[bytes]:
    return [case.content for case in cases if len(case.content) < 20_000]


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]] = {
    "image": (image_bytes, lambda: _contents(images.cases())),
    "audio": (audio_bytes, lambda: _contents(audio.cases())),
    "text": (text, lambda: ["schöne 日本 😀 words".encode(), b"\xed\xa0\x80", b"a\0b"]),
    "delimited": (delimited, lambda: [manifests.table(manifests.rows()).encode(), b'a,b\n"x","y ""z"""\n']),
    "json_lines": (json_lines, lambda: [manifests.lines(manifests.rows()).encode(), b'{"a": [1, null]}\n']),
    "parquet": (parquet, lambda: [manifests.parquet(manifests.rows(), write_page_checksum=True)]),
    "config": (config, lambda: [case for case in _contents(configs.cases()) if len(case) < 2000]),
}
"""By name: the target, and what it starts from."""
