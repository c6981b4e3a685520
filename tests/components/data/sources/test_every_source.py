"""The same rows are the same data set, whatever source, type and encoding they come in."""

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config import PipelineConfig
from components.data.ingest import ingest

COLUMNS = ("id", "split", "kind", "count", "price", "sold", "day", "seen", "note")
INPUTS = {
    "facts": {"modality": "tabular", "columns": ["count", "price", "sold", "day", "seen"]},
    "note": {"modality": "text", "columns": "note"},
}
LETTERS = st.characters(exclude_categories=["Cs", "Cc", "Co", "Cn"])
_ROW = st.fixed_dictionaries(
    {
        "count": st.integers(-(2**31), 2**31 - 1),  # so that each row has an input
        "price": st.none() | st.integers(-4000, 4000).map(lambda quarters: quarters / 4),
        "sold": st.none() | st.booleans(),
        "day": st.none() | st.dates(date(1901, 1, 1), date(2262, 1, 1)),
        "seen": st.none()
        | st.integers(10**5, 4 * 10**9).map(
            lambda seconds: datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
        ),
        "note": st.none() | st.text(LETTERS, min_size=1, max_size=8),
    }
)


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of four classes, which fill every split, in the order that folders of partitions have."""
    splits = ["test"] * 4 + ["train"] * 4 + ["val"] * 4
    kinds = ["0", "100%", "c d", "größer"] * 3
    return [
        {"id": number, "split": split, "kind": kind, **draw(_ROW)}
        for number, (split, kind) in enumerate(zip(splits, kinds, strict=True))
    ]


def _texts(table: list[dict[str, Any]]) -> list[list[str]]:
    return [["" if row[name] is None else str(row[name]) for name in COLUMNS] for row in table]


def _delimited(table: list[dict[str, Any]], delimiter: str = ",") -> str:
    lines = [list(COLUMNS), *_texts(table)]
    return "".join(
        delimiter.join('"' + cell.replace('"', '""') + '"' for cell in line) + "\n" for line in lines
    )


def _json_lines(table: list[dict[str, Any]], ascii_only: bool = True) -> str:
    return "".join(json.dumps(row, default=str, ensure_ascii=ascii_only) + "\n" for row in table)


def _arrow(table: list[dict[str, Any]], **types: pa.DataType) -> pa.Table:
    plain = {
        "id": pa.int64(), "split": pa.string(), "kind": pa.string(), "count": pa.int64(),
        "price": pa.float64(), "sold": pa.bool_(), "day": pa.date32(), "seen": pa.timestamp("us"),
        "note": pa.string(),
    }  # fmt: skip
    return pa.Table.from_pylist(table, pa.schema(plain)).cast(pa.schema({**plain, **types}))


def _parquet(path: Path, table: list[dict[str, Any]], **types: pa.DataType) -> Path:
    pq.write_table(_arrow(table, **types), path)
    return path


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _zip(text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("table.csv", text)
        archive.writestr("__MACOSX/._table.csv", b"\0")
    return file.getvalue()


def _in_parts(folder: Path, table: list[dict[str, Any]], write: Callable[[pa.Table, str], None]) -> Path:
    folder.mkdir()
    for start in range(0, len(table), 5):
        write(_arrow(table[start : start + 5]), str(folder / f"part-{start:03d}"))
    return folder


def _hive(folder: Path, table: list[dict[str, Any]]) -> Path:
    """Write a folder per split and class."""
    for number, row in enumerate(table):
        own = folder / f"split={row['split']}" / f"kind={quote(row['kind'], safe='')}"
        own.mkdir(parents=True, exist_ok=True)
        pq.write_table(_arrow([row]).drop_columns(["split", "kind"]), own / f"{number:03d}.parquet")
    return folder


def _ipc(path: Path, table: list[dict[str, Any]], opener: Callable[..., Any], **types: pa.DataType) -> Path:
    data = _arrow(table, **types)
    with opener(str(path), data.schema) as writer:
        writer.write_table(data, max_chunksize=5)
    return path


def _sqlite(path: Path, table: list[dict[str, Any]]) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute(
            "create table t (id integer, split text, kind text, count integer, price real, sold text, "
            "day text, seen text, note text)"
        )
        texts = [[None if row[name] is None else row[name] for name in COLUMNS] for row in table]
        plain = [[str(cell) if isinstance(cell, date | bool) else cell for cell in line] for line in texts]
        connection.executemany(f"insert into t values ({','.join('?' * len(COLUMNS))})", plain)
    connection.close()
    return path


def _excel(path: Path, table: list[dict[str, Any]]) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("rows")
    for line in [list(COLUMNS), *([row[name] for name in COLUMNS] for row in table)]:
        cells = [openpyxl.cell.WriteOnlyCell(sheet, value) for value in line]
        for cell, value in zip(cells, line, strict=True):
            if isinstance(value, str):
                cell.data_type = "s"  # as a text that begins with = is no formula here
        sheet.append(cells)
    book.save(path)
    return path


def _delta(folder: Path, table: list[dict[str, Any]]) -> Path:
    deltalake = pytest.importorskip("deltalake")
    deltalake.write_deltalake(str(folder), _arrow(table))
    return folder


def _iceberg(folder: Path, table: list[dict[str, Any]]) -> Path:
    pytest.importorskip("pyiceberg")
    from pyiceberg.catalog.memory import InMemoryCatalog

    catalog = InMemoryCatalog("c", warehouse=folder.as_uri())
    catalog.create_namespace("n")
    data = _arrow(table)
    catalog.create_table("n.t", schema=data.schema).append(data)
    return folder / "n" / "t"


Source = Callable[[Path, list[dict[str, Any]]], Path]
SOURCES: dict[str, Source] = {
    "csv": lambda f, t: _written(f / "t.csv", _delimited(t).encode()),
    "semicolons": lambda f, t: _written(f / "t.csv", _delimited(t, ";").encode()),
    "tabs in csv": lambda f, t: _written(f / "t.csv", _delimited(t, "\t").encode()),
    "tsv": lambda f, t: _written(f / "t.tsv", _delimited(t, "\t").encode()),
    "utf-8 with a mark": lambda f, t: _written(f / "t.csv", _delimited(t).encode("utf-8-sig")),
    "utf-16": lambda f, t: _written(f / "t.csv", _delimited(t).encode("utf-16")),
    "utf-32": lambda f, t: _written(f / "t.csv", _delimited(t).encode("utf-32")),
    "csv.gz": lambda f, t: _written(f / "t.csv.gz", gzip.compress(_delimited(t).encode())),
    "csv.bz2": lambda f, t: _written(f / "t.csv.bz2", bz2.compress(_delimited(t).encode())),
    "csv.xz": lambda f, t: _written(f / "t.csv.xz", lzma.compress(_delimited(t).encode())),
    "csv.zst": lambda f, t: _written(
        f / "t.csv.zst", pa.Codec("zstd").compress(_delimited(t).encode(), asbytes=True)
    ),
    "csv.zip": lambda f, t: _written(f / "t.csv.zip", _zip(_delimited(t))),
    "gzip without a suffix": lambda f, t: _written(f / "t.csv", gzip.compress(_delimited(t).encode())),
    "tsv.gz in utf-16": lambda f, t: _written(
        f / "t.tsv.gz", gzip.compress(_delimited(t, "\t").encode("utf-16"))
    ),
    "jsonl": lambda f, t: _written(f / "t.jsonl", _json_lines(t).encode()),
    "jsonl with letters": lambda f, t: _written(f / "t.jsonl", _json_lines(t, False).encode()),
    "jsonl.zst": lambda f, t: _written(
        f / "t.jsonl.zst", pa.Codec("zstd").compress(_json_lines(t).encode(), asbytes=True)
    ),
    "jsonl.bz2": lambda f, t: _written(f / "t.ndjson.bz2", bz2.compress(_json_lines(t).encode())),
    "parquet": lambda f, t: _parquet(f / "t.parquet", t),
    "parquet of short types": lambda f, t: _parquet(
        f / "t.pq", t, id=pa.uint8(), count=pa.int32(), price=pa.float32(), seen=pa.timestamp("s"),
        day=pa.date64(), kind=pa.dictionary(pa.int8(), pa.string()), note=pa.large_string(),
    ),
    "parquet of wide types": lambda f, t: _parquet(
        f / "t.parquet", t, id=pa.float64(), count=pa.float64(), price=pa.decimal128(12, 4),
        day=pa.timestamp("ms"), seen=pa.timestamp("ns"), note=pa.string_view(),
    ),
    "parquet in parts": lambda f, t: _in_parts(
        f / "t", t, lambda part, name: pq.write_table(part, f"{name}.parquet")
    ),
    "parquet in partitions": lambda f, t: _hive(f / "t", t),
    "feather": lambda f, t: _ipc(f / "t.feather", t, pa.ipc.new_file),
    "arrow stream": lambda f, t: _ipc(
        f / "t.arrow", t, pa.ipc.new_stream, kind=pa.dictionary(pa.int32(), pa.string())
    ),
    "feather, compressed": lambda f, t: (
        pyarrow.feather.write_feather(_arrow(t), f / "t.feather", compression="zstd") or f / "t.feather"
    ),
    "feather in parts": lambda f, t: _in_parts(
        f / "t", t, lambda part, name: pyarrow.feather.write_feather(part, f"{name}.arrow")
    ),
    "orc": lambda f, t: pyarrow.orc.write_table(_arrow(t), str(f / "t.orc")) or f / "t.orc",
    "sqlite": lambda f, t: _sqlite(f / "t.db", t),
    "excel": lambda f, t: _excel(f / "t.xlsx", t),
    "delta": lambda f, t: _delta(f / "t", t),
    "iceberg": lambda f, t: _iceberg(f / "t", t),
}  # fmt: skip


def _digest(source: Path, folder: Path) -> str:
    data: dict[str, Any] = {"source": str(source), "split": {"column": "split"}}
    if source.suffix == ".db":
        data |= {"source": f"sqlite:///{source}", "query": "select * from t order by id"}
    config = PipelineConfig.model_validate(
        {"name": "t", "data": data, "target": {"column": "kind"}, "inputs": INPUTS}
    )
    return ingest(config, folder / "work", folder).digest


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=2, deadline=None)
@given(table=rows())
def test_the_same_rows_have_one_digest(source: str, table: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plain").mkdir()
        plain = SOURCES["jsonl"](folder / "plain", table)
        (folder / "other").mkdir()
        other = SOURCES[source](folder / "other", table)
        assert _digest(other, folder / "other") == _digest(plain, folder / "plain")
