"""Tables that unfold to far more than they store are refused before anything is decompressed."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.orc
import pytest

from components.config.data import DataConfig
from components.data.sources.readers import open_manifest
from components.errors import DataError

ROWS = 9_000_000  # of eight bytes, so more than any file may unfold to


def _ipc(path: Path, table: pa.Table) -> None:
    opener = pa.ipc.new_stream if path.suffix == ".arrows" else pa.ipc.new_file
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as file, opener(file, table.schema, options=options) as writer:
        writer.write_table(table)


def _orc(path: Path, table: pa.Table) -> None:
    pyarrow.orc.write_table(table, str(path), compression="zstd")


def _excel(path: Path, table: pa.Table) -> None:
    table.slice(0, 1).to_pandas().to_excel(path, index=False)
    with zipfile.ZipFile(path) as book:
        members = {name: book.read(name) for name in book.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, data in members.items():
            if name == "xl/worksheets/sheet1.xml":
                data = data.replace(b"</sheetData>", b"<row></row>" * 6_500_000 + b"</sheetData>")
            book.writestr(name, data)


def _delta(path: Path, table: pa.Table) -> None:
    deltalake = pytest.importorskip("deltalake")
    text = pa.table({"x": ["a" * 8 * len(table)]})  # numbers alike are stored once
    zstd = deltalake.WriterProperties(compression="ZSTD")  # Snappy makes at most 21 bytes of one
    deltalake.write_deltalake(str(path), text, writer_properties=zstd)


def _batches(path: Path, columns: Sequence[str] = ("x",)) -> list[str]:
    manifest = open_manifest(DataConfig(source=str(path)), path.parent, path.parent)
    return [cell for batch in manifest.batches(list(columns)) for cell in batch["x"]]


@pytest.mark.parametrize(
    ("name", "write"),
    [("t.arrow", _ipc), ("t.arrows", _ipc), ("t.orc", _orc), ("t.xlsx", _excel), ("t", _delta)],
)
def test_a_bomb_is_refused(tmp_path: Path, name: str, write: Callable[[Path, pa.Table], None]) -> None:
    zeros = pa.array(np.zeros(ROWS, np.int64))
    columns = list("xabcdefg") if name == "t.orc" else ["x"]
    path = tmp_path / name
    write(path, pa.table(dict.fromkeys(columns, zeros)))
    with pytest.raises(DataError, match=r"unfolds to .* MB, more than .* as a decompression bomb"):
        _batches(path, columns)


@pytest.mark.parametrize("compression", ["zstd", "lz4", None])
@pytest.mark.parametrize("suffix", [".arrow", ".arrows"])
def test_usual_arrow_files_are_read(tmp_path: Path, suffix: str, compression: str | None) -> None:
    words = pd.Series([f"word {row % 50}" for row in range(5000)])
    table = pa.table({"x": pa.array(words), "kind": pa.array(words).dictionary_encode()})
    opener = pa.ipc.new_stream if suffix == ".arrows" else pa.ipc.new_file
    options = pa.ipc.IpcWriteOptions(compression=compression)
    path = tmp_path / f"t{suffix}"
    with pa.OSFile(str(path), "wb") as file, opener(file, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=1000)
    assert _batches(path) == words.tolist()


def test_a_workbook_of_huge_texts_names_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    pd.DataFrame({"x": ["a"]}).to_excel(path, index=False)
    noise = np.random.default_rng(0).integers(0, 16, 2**20).astype("S1").tobytes().replace(b"\0", b"a")
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as book,
        book.open("xl/sharedStrings.xml", "w") as texts,
    ):
        for _ in range(150):
            texts.write(noise)
    with pytest.raises(DataError, match=r"has 150 MB of texts, .* save the sheet as CSV"):
        _batches(path)
