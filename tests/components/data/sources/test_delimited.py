"""CSV and TSV as people have them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from components.data.sources.delimited import open_delimited
from components.errors import DataError


def read(path: Path, delimiter: str = ",") -> dict[str, list[str]]:
    table = open_delimited(str(path), delimiter)
    columns: dict[str, list[str]] = {name: [] for name in table.columns}
    for batch in table.batches(table.columns):
        for name, cells in batch.items():
            columns[name] += cells
    return columns


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"id,n\n1,a\n2,b\n", {"id": ["1", "2"], "n": ["a", "b"]}, id="plain"),
        pytest.param(b"\xef\xbb\xbfid,n\n1,a\n", {"id": ["1"], "n": ["a"]}, id="byte order mark"),
        pytest.param(b"id,n\r\n1,a\r\n2,b\r\n", {"id": ["1", "2"], "n": ["a", "b"]}, id="CRLF"),
        pytest.param(
            b'id,n\n1,"a\nb, ""c"""\n2,d\n', {"id": ["1", "2"], "n": ['a\nb, "c"', "d"]}, id="quoted newline"
        ),
        pytest.param(
            b"id,n\n007,NA\n1e5,null\n", {"id": ["007", "1e5"], "n": ["NA", "null"]}, id="text stays text"
        ),
        pytest.param(b"id , n\n1,a\n", {"id": ["1"], "n": ["a"]}, id="spaces in the header"),
        pytest.param(b"id,n\n\n1,a\n\n", {"id": ["1"], "n": ["a"]}, id="blank lines"),
        pytest.param(b"id;n\n1;3,5\n", {"id": ["1"], "n": ["3,5"]}, id="semicolons"),
        pytest.param(b"id,n\n1,a", {"id": ["1"], "n": ["a"]}, id="no newline at the end"),
        pytest.param("id,n\n1,žluťoučký 🐴\n".encode(), {"id": ["1"], "n": ["žluťoučký 🐴"]}, id="unicode"),
        pytest.param(
            b"id,n\n1," + b"x" * 200_000 + b"\n", {"id": ["1"], "n": ["x" * 200_000]}, id="a long cell"
        ),
    ],
)
def test_every_cell_is_read_as_it_stands(
    tmp_path: Path, content: bytes, expected: dict[str, list[str]]
) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    assert read(path) == expected


def test_a_compressed_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.csv.gz"
    path.write_bytes(gzip.compress(b"id,n\n1,a\n"))
    assert read(path) == {"id": ["1"], "n": ["a"]}


def test_tabs_divide_a_tsv(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_bytes(b"id\tn\n1\ta, b\n")
    assert read(path, "\t") == {"id": ["1"], "n": ["a, b"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            b"id,n\n1,a\n2,b,c\n", "m.csv, line 3: 3 cells, but the header has 2", id="too many cells"
        ),
        pytest.param(
            b'id,n\n1,"a\nb"\n2\n', "m.csv, line 4: 1 cells, but the header has 2", id="too few cells"
        ),
        pytest.param(b'id,n\n1,"a\n', "m.csv, line 2: unexpected end of data", id="quote left open"),
        pytest.param(b"", "m.csv: empty; expected a header line", id="empty file"),
        pytest.param(b"id,n,id\n1,a,2\n", "column 'id' is in the header twice", id="column twice"),
    ],
)
def test_a_broken_table_is_refused_with_its_place(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_bad_byte_far_down_is_found(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(b"id,n\n" + b"1,\xc3\xa4\n" * 500_000 + b"2,\xff\n")
    with pytest.raises(DataError, match="UTF-8 text, except in places"):
        open_delimited(str(path), ",")


def test_rows_come_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(b"id\n" + b"".join(b"%d\n" % row for row in range(10_000)))
    lengths = [len(batch["id"]) for batch in open_delimited(str(path), ",").batches(["id"])]
    assert sum(lengths) == 10_000
    assert max(lengths) < 5_000
