"""Manifests: tables as people and programs write them, and as disks and networks leave them."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.acceptance.bad_input.case import Case, Wanted, flipped, named, tenths

COLUMNS = ("id", "split", "label", "note", "age")
ROWS = 24


def rows(**changes: dict[int, Any]) -> list[dict[str, Any]]:
    """24 rows of two classes, in every split; ``changes`` gives a column other values by row."""
    made = []
    for row in range(ROWS):
        split = "val" if row % 6 == 4 else "test" if row % 6 == 5 else "train"
        label = "ab"[(row // 2 + row) % 2]
        made.append({"id": f"r{row}", "split": split, "label": label, "note": f"note {row}", "age": str(row)})
    for column, values in changes.items():
        for row, value in values.items():
            made[row][column] = value
    return made


def table(content: list[dict[str, Any]], **options: Any) -> str:
    """CSV of the rows."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(
        file, list(content[0]), lineterminator=options.pop("lineterminator", "\n"), **options
    )
    writer.writeheader()
    writer.writerows(content)
    return file.getvalue()


def lines(content: list[dict[str, Any]]) -> str:
    """JSON lines of the rows."""
    return "".join(json.dumps(row) + "\n" for row in content)


def parquet(content: list[dict[str, Any]], **options: Any) -> bytes:
    """Parquet of the rows."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(content), file, **options)
    return file.getvalue()


def cases() -> list[Case]:
    """All manifests; the truth is how many rows are used, how many in quarantine."""
    all_cases: list[Case] = []

    def add(name: str, data: str | bytes, wanted: Wanted, ending: str, truth: Any = None) -> None:
        content = data.encode("utf-8") if isinstance(data, str) else data
        all_cases.append(Case("manifests", name, content, wanted, truth, ending=ending))

    for name, data in _refused_csv().items():
        add(f"CSV, {name}", data, "refused", ".csv")
    for name, (data, truth) in _used_csv().items():
        add(f"CSV, {name}", data, "used", ".csv", truth)
    for name, data in _refused_lines().items():
        add(f"JSON lines, {name}", data, "refused", ".jsonl")
    for name, (data, truth) in _used_lines().items():
        add(f"JSON lines, {name}", data, "used", ".jsonl", truth)

    whole = parquet(rows(), write_page_checksum=True)
    add("Parquet", whole, "used", ".parquet", (24, 0))
    for how, data in tenths(whole):
        add(f"Parquet, {how}", data, "refused", ".parquet")
    for how, data in flipped(whole, 40):
        add(f"Parquet, {how}", data, "either", ".parquet")
    for name, data in {
        "no bytes": b"",
        "zeros": bytes(4096),
        "CSV": table(rows()).encode(),
        "only its magic": b"PAR1PAR1",
        "a footer of 4 GB": b"PAR1" + b"\xff\xff\xff\xff" + b"PAR1",
        "pickle": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x02os\x94.",
        "no rows": parquet_without_rows(),
    }.items():
        add(f"Parquet, {name}", data, "refused", ".parquet")
    add("Parquet, numbers for ids", parquet(numbered()), "used", ".parquet", (24, 0))

    text = table(rows()).encode()
    packed = {".gz": gzip.compress(text, mtime=0), ".bz2": bz2.compress(text), ".xz": lzma.compress(text)}
    for ending, data in packed.items():
        add(f"CSV{ending}", data, "used", f".csv{ending}", (24, 0))
        for how, cut in tenths(data):
            add(f"CSV{ending}, {how}", cut, "refused", f".csv{ending}")
        for how, turned in flipped(data, 8):
            add(f"CSV{ending}, {how}", turned, "either", f".csv{ending}")
    add("CSV.zip", _zip(text), "used", ".csv.zip", (24, 0))
    for how, cut in tenths(_zip(text)):
        add(f"CSV.zip, {how}", cut, "refused", ".csv.zip")
    add("CSV.gz that is none", text, "refused", ".csv.gz")
    bomb = gzip.compress(b"id,split,label,note,age\nr0,train,a," + b"x" * 300_000_000, 9, mtime=0)
    add("CSV.gz with a cell of 300 MB", bomb, "refused", ".csv.gz")
    lasting = gzip.compress(b'{"id": "' + b"x" * 300_000_000, 9, mtime=0)
    add("JSON lines.gz with a line of 300 MB", lasting, "refused", ".jsonl.gz")
    return named(all_cases)


def numbered() -> list[dict[str, Any]]:
    return [{**row, "id": number, "age": float(number)} for number, row in enumerate(rows())]


def parquet_without_rows() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows()).slice(0, 0), file)
    return file.getvalue()


def _zip(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("rows.csv"), data)
    return file.getvalue()


def _refused_csv() -> dict[str, str | bytes]:
    head = ",".join(COLUMNS)
    plain = table(rows())
    every = range(ROWS)
    return {
        "no bytes": "",
        "only line breaks": "\n\n\n",
        "only a header": head + "\n",
        "only a byte order mark": "\ufeff",
        "zeros": bytes(1000),
        "a column twice": plain.replace("note,age", "note,note"),
        "a column without a name": plain.replace(",age", ","),
        "no column id": plain.replace("id,", "key,", 1),
        "no column label": plain.replace("label", "lable", 1),
        "no column of the input": plain.replace("note", "nota", 1),
        "a row too short": plain.replace("note 3,3", "note 3"),
        "a row too long": plain.replace("note 3,3", "note 3,3,x"),
        "an open quote": plain.replace("note 3", '"note 3'),
        "a quote inside a quoted cell": plain.replace("note 3", '"note "3" x"'),
        "an id twice": table(rows(id={3: "r4"})),
        "an id twice by spaces": table(rows(id={3: " r4 "})),
        "an id empty": table(rows(id={3: ""})),
        "an id of spaces": table(rows(id={3: "  "})),
        "all ids empty": table(rows(id=dict.fromkeys(every, ""))),
        "an unknown split": table(rows(split={3: "holdout"})),
        "an empty split": table(rows(split={3: ""})),
        "no test": table([row for row in rows() if row["split"] != "test"]),
        "no train": table([row for row in rows() if row["split"] != "train"]),
        "one row": table(rows()[:1]),
        "one class": table(rows(label=dict.fromkeys(every, "a"))),
        "a label that only test has": table(rows(label={5: "c"})),
        "a label that only val has": table(rows(label={4: "c"})),
        "a class absent from train": table(rows(label={row: "b" if row % 6 >= 4 else "a" for row in every})),
        "all labels empty": table(rows(label=dict.fromkeys(every, ""))),
        "labels NaN alone": table(rows(label=dict.fromkeys(every, ""))).replace(",,", ", ,"),
        "all notes empty": table(rows(note=dict.fromkeys(every, ""))),
        "a header in a quote that never ends": '"' + plain,
        "an image": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "pickle": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x02os\x94.",
    }


def _used_csv() -> dict[str, tuple[str | bytes, tuple[int, int]]]:
    plain = table(rows())
    all_rows = (24, 0)
    return {
        "plain": (plain, all_rows),
        "byte order mark": ("\ufeff" + plain, all_rows),
        "UTF-16": (plain.encode("utf-16"), all_rows),
        "Windows-1252": (plain.replace("note 3", "größe").encode("cp1252"), all_rows),
        "CRLF": (table(rows(), lineterminator="\r\n"), all_rows),
        "no line break at the end": (plain.rstrip("\n"), all_rows),
        "blank lines between": (plain.replace("\n", "\n\n"), all_rows),
        "every cell quoted": (table(rows(), quoting=csv.QUOTE_ALL), all_rows),
        "quotes, commas and line breaks in cells": (table(rows(note={3: 'a "b", c\nd'})), all_rows),
        "semicolons": (table(rows(), delimiter=";"), all_rows),
        "spaces around the names of columns": (plain.replace("split,", " split ,", 1), all_rows),
        "spaces around keys": (table(rows(id={3: " r3 "}, split={3: " Train "}, label={3: " a "})), all_rows),
        "NUL in a text": (table(rows(note={3: "a\0b"})), all_rows),
        "right to left": (table(rows(note={3: "שלום"}, id={3: "ر٣"})), all_rows),
        "emoji everywhere": (table(rows(note={3: "😀"}, id={3: "👍🏽"})), all_rows),
        "a text of 1 MB": (table(rows(note={3: "x" * 1_000_000})), all_rows),
        "an empty note": (table(rows(note={3: ""})), (23, 1)),
        "an empty label": (table(rows(label={3: ""})), all_rows),
        "half of the labels empty": (table(rows(label=dict.fromkeys(range(12), ""))), all_rows),
        "mixed types in a column": (table(rows(age={3: "three", 4: "NaN", 5: "inf", 6: "1e999"})), all_rows),
        "a label that looks like nothing": (
            table(rows(label=dict.fromkeys(range(0, 24, 3), "nan"))),
            all_rows,
        ),
        "ids of 500 letters": (table(rows(id={3: "x" * 500})), all_rows),
        "ids with slashes": (table(rows(id={3: "../../etc/passwd", 4: "a/b"})), all_rows),
        "ids like HTML": (table(rows(id={3: "<script>alert(1)</script>"})), all_rows),
        "labels like mathematics": (
            table([{**row, "label": {"a": "$\\frac{", "b": "$x_{"}[row["label"]]} for row in rows()]),
            all_rows,
        ),
        "formulas of a spreadsheet": (table(rows(note={3: "=1+1", 4: "@SUM(A1)"})), all_rows),
        "a column that nobody reads": (plain.replace("age", "weight"), all_rows),
    }


def _refused_lines() -> dict[str, str | bytes]:
    plain = lines(rows())
    first = plain.splitlines()[0]
    return {
        "no bytes": "",
        "one JSON for all": json.dumps(rows()),
        "a line cut off": plain[:-20],
        "a number for a line": plain + "3\n",
        "null for a line": plain + "null\n",
        "not JSON": plain + "{id: r99}\n",
        "single quotes": plain.replace('"', "'"),
        "5000 digits": plain.replace('"age": "3"', '"age": ' + "9" * 5000),
        "100000 brackets": plain + '{"id": ' + "[" * 100_000 + "\n",
        "a bracket too deep": plain + '{"id": "q", "note": ' + "[" * 5000 + "]" * 5000 + "}\n",
        "no text": plain.encode() + b'{"id": "\x81\xff\x8d"}\n',
        "UTF-8 but for a byte": plain.replace("note", "größe").encode() + b'{"id": "\xff"}\n',
        "an id that is no Unicode": plain.replace('"r3"', '"r3\\ud800"'),
        "a split that is no Unicode": plain.replace('"train"', '"train\\ud800"', 1),
        "an id that is null": plain.replace('"r3"', "null"),
        "an id that is NaN": plain.replace('"r3"', "NaN"),
        "the same id as a number and as text": plain.replace('"r3"', "7").replace('"r4"', '"7"'),
        "a key twice in a line": plain.replace('{"id": "r3"', '{"id": "r99", "id": "r3"'),
        "a line of other keys": first + "\n" + '{"x": 1}\n',
    }


def _used_lines() -> dict[str, tuple[str | bytes, tuple[int, int]]]:
    plain = lines(rows())
    return {
        "plain": (plain, (24, 0)),
        "byte order mark": ("\ufeff" + plain, (24, 0)),
        "UTF-16": (plain.encode("utf-16"), (24, 0)),
        "CRLF": (plain.replace("\n", "\r\n"), (24, 0)),
        "blank lines": (plain.replace("\n", "\n\n"), (24, 0)),
        "numbers for ids": (lines(numbered()), (24, 0)),
        "a key left out": (lines([{k: v for k, v in row.items() if k != "age"} for row in rows()]), (24, 0)),
        "a list for a text": (lines(rows(note={3: ["a", "b"]})), (24, 0)),
        "NaN, Infinity, true and null": (
            lines(rows(age={3: float("nan"), 4: float("inf"), 5: True, 6: None})),
            (24, 0),
        ),
        "emoji as two surrogates": (plain.replace("note 3", "\\ud83d\\ude00"), (24, 0)),
        "a note that is no Unicode": (plain.replace('"note 3"', '"a\\ud800b"'), (23, 1)),
        "a label that is no Unicode": (lines(rows(label={3: "a\ud800"})), (23, 1)),
    }
