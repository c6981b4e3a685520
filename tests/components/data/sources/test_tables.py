"""Folders of files, workbooks, tables of Delta and Iceberg: they are read, and what they lack is told."""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.config.data import DataConfig
from components.data.sources.manifest import Manifest
from components.data.sources.readers import open_manifest
from components.errors import DataError


def _open(path: Path, **options: Any) -> Manifest:
    return open_manifest(DataConfig(source=str(path), **options), path.parent, path.parent)


def _rows(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        dict(zip(batch, cells, strict=True))
        for batch in manifest.batches(manifest.columns)
        for cells in zip(*batch.values(), strict=True)
    ]


def test_folders_give_cells_and_a_missing_column_is_told(tmp_path: Path) -> None:
    for folder, table in {
        "kind=a%2Fb/year=2024": {"id": [1, 2], "x": [0.5, None]},
        "kind=__HIVE_DEFAULT_PARTITION__/year=2025": {"id": [3]},
        "kind=é/year=2025/_temporary": {"id": [4]},
    }.items():
        (tmp_path / "t" / folder).mkdir(parents=True)
        pq.write_table(pa.table(table), tmp_path / "t" / folder / "part.parquet")
    manifest = _open(tmp_path / "t")
    assert sorted(_rows(manifest), key=lambda row: row["id"]) == [
        {"id": 1, "x": 0.5, "kind": "a/b", "year": "2024"},
        {"id": 2, "x": None, "kind": "a/b", "year": "2024"},
        {"id": 3, "x": None, "kind": None, "year": "2025"},
    ]
    assert manifest.findings == (
        "1 of 2 files of t have no column 'x', so its cells are empty there (part.parquet)",
    )
    assert [batch["kind"] for batch in manifest.batches(["kind"])] == [[None], ["a/b", "a/b"]]


@pytest.mark.parametrize("ending", ["feather", "orc", "parquet"])
def test_columns_with_dots_are_columns(tmp_path: Path, ending: str) -> None:
    import pyarrow.feather
    import pyarrow.orc

    table = pa.table({"a.b": [1], "a": [2], "Länge [cm]": [3]})
    path = tmp_path / f"t.{ending}"
    {"feather": pyarrow.feather.write_feather, "orc": pyarrow.orc.write_table, "parquet": pq.write_table}[
        ending
    ](table, str(path))
    assert _rows(_open(path)) == table.to_pylist()


@pytest.mark.parametrize("ending", ["feather", "orc", "parquet", "xlsx", "csv.gz"])
def test_a_file_that_is_no_such_file_is_refused(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"t.{ending}").write_bytes(b"\x1f\x8b no table")
    with pytest.raises(DataError, match=rf"t.{ending}: cannot be read"):
        _open(tmp_path / f"t.{ending}")


def test_a_zip_of_two_tables_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("a.csv", "id\n1\n")
        archive.writestr("b.csv", "id\n2\n")
    with pytest.raises(DataError, match=r"t.csv.zip: a ZIP with 2 files \(a.csv, b.csv\)"):
        _open(tmp_path / "t.csv.zip")


def _workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    book = pytest.importorskip("openpyxl").Workbook()
    book.remove(book.active)
    for title, lines in sheets.items():
        sheet = book.create_sheet(title)
        for line in lines:
            sheet.append(line)
    book.save(path)
    return path


def test_a_sheet_is_chosen_and_the_others_are_told(tmp_path: Path) -> None:
    lines = [[], ["id", " kind "], [1, "a"], [], [2, None]]
    path = _workbook(tmp_path / "t.xlsx", rows=lines, more=[["id"], [9]])
    manifest = _open(path)
    assert _rows(manifest) == [{"id": 1, "kind": "a"}, {"id": 2, "kind": None}]
    assert manifest.findings == ("t.xlsx is read from its sheet 'rows'; it has others: more (data.sheet)",)
    assert _rows(_open(path, sheet="more")) == [{"id": 9}]
    with pytest.raises(DataError, match=r"data.sheet: t.xlsx has no sheet 'x' \(has: rows, more\)"):
        _open(path, sheet="x")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([["id", "id"], [1, 2]], "'id' is in the header twice"),
        ([["id", None, "b"], [1, 2, 3]], "column 2 of the header has no name"),
        ([["id"], [1, 2]], "a row has more cells than the header"),
        ([], "empty"),
    ],
)
def test_a_broken_sheet_is_refused(tmp_path: Path, lines: list[list[Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        _rows(_open(_workbook(tmp_path / "t.xlsx", rows=lines)))


@pytest.mark.parametrize(
    ("library", "name", "extra"),
    [("openpyxl", "t.xlsx", "excel"), ("deltalake", "delta", "delta"), ("pyiceberg", "iceberg", "iceberg")],
)
def test_a_missing_library_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, name: str, extra: str
) -> None:
    for loaded in [each for each in sys.modules if each.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, loaded, None)
    monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    (tmp_path / "delta" / "_delta_log").mkdir(parents=True)
    (tmp_path / "iceberg" / "metadata").mkdir(parents=True)
    (tmp_path / "iceberg" / "metadata" / "v1.metadata.json").write_text("{}", "utf-8")
    with pytest.raises(DataError, match=rf"pip install 'braid\[{extra}\]'"):
        _open(tmp_path / name)


def test_the_newest_rows_of_a_delta_table_are_read(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    folder = tmp_path / "t"
    deltalake.write_deltalake(
        str(folder), pa.table({"id": [1, 2], "kind": ["a", "b"]}), partition_by=["kind"]
    )
    deltalake.write_deltalake(str(folder), pa.table({"id": [3], "kind": ["a"]}), mode="append")
    deltalake.DeltaTable(str(folder)).delete("id = 1")
    assert sorted((row["id"], row["kind"]) for row in _rows(_open(folder))) == [(2, "b"), (3, "a")]


@pytest.mark.parametrize("way", ["../secret.parquet", "{outside}", "file://{outside}"])
def test_a_delta_table_cannot_name_files_outside(tmp_path: Path, way: str) -> None:
    deltalake = pytest.importorskip("deltalake")
    folder, outside = tmp_path / "t", tmp_path / "secret.parquet"
    deltalake.write_deltalake(str(folder), pa.table({"id": [1]}))
    pq.write_table(pa.table({"id": [99]}), outside)
    (log,) = (folder / "_delta_log").glob("*.json")
    entries = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for entry in entries:
        if "add" in entry:
            entry["add"] |= {"path": way.format(outside=outside), "size": outside.stat().st_size}
    log.write_text("\n".join(map(json.dumps, entries)), "utf-8")
    with pytest.raises(DataError, match=r"lies outside of the manifest's folder|not found"):
        _rows(_open(folder))


def test_an_iceberg_table_cannot_name_files_outside(tmp_path: Path) -> None:
    pytest.importorskip("pyiceberg")
    from pyiceberg.catalog.memory import InMemoryCatalog

    catalog = InMemoryCatalog("c", warehouse=tmp_path.as_uri())
    catalog.create_namespace("n")
    data = pa.table({"id": [1, 2]})
    table = catalog.create_table("n.t", schema=data.schema, location=(tmp_path / "t").as_uri())
    table.append(data)
    table.append(data)
    assert [row["id"] for row in _rows(_open(tmp_path / "t"))] == [1, 2, 1, 2]
    (tmp_path / "other").mkdir()
    (tmp_path / "t" / "metadata").rename(tmp_path / "other" / "metadata")
    with pytest.raises(DataError, match="lies outside of the manifest's folder"):
        _open(tmp_path / "other")
