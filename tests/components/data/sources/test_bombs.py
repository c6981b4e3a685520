"""Small files that unfold to what no machine has are refused at once, or their rows go to quarantine."""

from __future__ import annotations

import gzip
import json
import resource
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.config.data import DataConfig
from components.data import cells, limits
from components.data.cells import UnusableCellError, text_of
from components.data.limits import OversizeCell
from components.data.sources import arrow_files, packed
from components.data.sources.manifest import Manifest
from components.data.sources.readers import open_manifest
from components.errors import DataError

MEGABYTES = 2**20
SECONDS = 20  # on a busy machine; minutes without the bounds


def manifest_of(path: Path) -> Manifest:
    return open_manifest(DataConfig(source=str(path)), path.parent, path.parent)


def read(path: Path) -> list[object]:
    manifest = manifest_of(path)
    return [
        cell for batch in manifest.batches(manifest.columns) for column in batch.values() for cell in column
    ]


def test_a_dictionary_of_one_long_text_is_refused_by_its_metadata(tmp_path: Path) -> None:
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * 100 * MEGABYTES]))
    pq.write_table(pa.table({"text": text}), tmp_path / "rows.parquet", compression="zstd")
    assert (tmp_path / "rows.parquet").stat().st_size < MEGABYTES
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="'text' unfolds to 100 MB, more than 1000 times what is stored"):
        read(tmp_path / "rows.parquet")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_a_long_text_of_many_rows_is_one_in_memory_and_too_long_a_cell_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (arrow_files, cells, limits):
        monkeypatch.setattr(module, "MOST_CELL", MEGABYTES)
    monkeypatch.setattr(arrow_files, "MOST_ROWS", 4 * MEGABYTES)
    texts = ["a" * (MEGABYTES // 2), "b" * 2 * MEGABYTES, None, "short"]
    rows = pa.array([None if number % 4 == 2 else number % 4 for number in range(100)], pa.int32())
    column = pa.DictionaryArray.from_arrays(rows, pa.array([text or "" for text in texts]))
    pq.write_table(pa.table({"text": column}), tmp_path / "rows.parquet")
    read_cells = read(tmp_path / "rows.parquet")
    assert read_cells == [texts[0], OversizeCell(2 * MEGABYTES), None, "short"] * 25
    with pytest.raises(UnusableCellError, match=r"cell of 2 MB \(at most 1 MB\)"):
        text_of(read_cells[1])
    with pytest.raises(UnusableCellError, match="cell of 2 MB"):
        text_of(texts[1])


@pytest.mark.parametrize("line", ["\n", " \n", "\r\n"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_a_flood_of_blank_lines_ends(tmp_path: Path, name: str, line: str) -> None:
    head = "id,text\n" if name.endswith("csv") else '{"id": 1}\n'
    with gzip.open(tmp_path / f"{name}.gz", "wb") as file:
        file.write(head.encode() + line.encode() * 30 * MEGABYTES)
    started = time.monotonic()
    with pytest.raises(DataError, match=r"blank lines|unfolds to more than|cells, but the header"):
        read(tmp_path / f"{name}.gz")
    assert time.monotonic() - started < SECONDS


def test_a_compressed_table_may_be_large_but_not_unfold_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "FREE_UNPACKED", MEGABYTES)
    with gzip.open(tmp_path / "rows.csv.gz", "wt") as file:
        file.write("id,text\n" + "".join(f"{row},{row * 7919 % 1000}\n" for row in range(200_000)))
    assert len(read(tmp_path / "rows.csv.gz")) == 400_000
    with gzip.open(tmp_path / "bomb.csv.gz", "wt") as file:
        file.write("id,text\n" + "1,a\n" * MEGABYTES)
    with pytest.raises(DataError, match="unfolds to more than 200 times its size"):
        read(tmp_path / "bomb.csv.gz")


def test_many_columns_take_no_longer_than_many_cells(tmp_path: Path) -> None:
    names = [f"column {number}" for number in range(50_000)]
    (tmp_path / "rows.csv").write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    (tmp_path / "rows.jsonl").write_text(json.dumps(dict.fromkeys(names, 1)))
    started = time.monotonic()
    assert len(read(tmp_path / "rows.csv")) == len(read(tmp_path / "rows.jsonl")) == len(names)
    (tmp_path / "twice.csv").write_text(",".join([*names, names[7]]) + "\n")
    with pytest.raises(DataError, match=r"'column 7' is in the header twice .*49,981 more"):
        manifest_of(tmp_path / "twice.csv")
    pairs = ", ".join(f'"{name}": 1' for name in [*names, names[7]])
    (tmp_path / "twice.jsonl").write_text(f"{{{pairs}}}")
    with pytest.raises(DataError, match="the key 'column 7' is repeated"):
        manifest_of(tmp_path / "twice.jsonl")
    assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_more_columns_than_a_table_has_are_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_COLUMNS", 10)
    rows = {f"c{number}": [1] for number in range(11)}
    if name.endswith("csv"):
        (tmp_path / name).write_text(",".join(rows) + "\n")
    elif name.endswith("jsonl"):
        (tmp_path / name).write_text("".join(json.dumps({key: 1}) + "\n" for key in rows))
    else:
        pq.write_table(pa.table(rows), tmp_path / name)
    with pytest.raises(DataError, match="more than 10 columns"):
        manifest_of(tmp_path / name)
