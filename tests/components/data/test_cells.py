"""Cells of any type as text."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.data.cells import NotUnicodeError, UnusableCellError, media_of, text_of, word_of
from components.data.files.location import resolve


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, None),
        ("", None),
        (" \t\n", None),
        (float("nan"), None),
        (pd.NaT, None),
        ([], None),
        ({}, None),
        (" a ", " a "),
        (3, "3"),
        (np.int64(3), "3"),
        (0.1, "0.1"),
        (np.float64(2.0), "2.0"),
        (True, "true"),
        (np.bool_(False), "false"),
        (Decimal("1.50"), "1.50"),
        (date(2024, 2, 3), "2024-02-03"),
        (datetime(2024, 2, 3, 4, 5, tzinfo=UTC), "2024-02-03T04:05:00+00:00"),
        (timedelta(minutes=1.5), "90.0"),
        (["a", 1], '["a", 1]'),
        ({"ž": None}, '{"ž": null}'),
    ],
)
def test_a_cell_becomes_text(cell: Any, text: str | None) -> None:
    assert text_of(cell) == text


@pytest.mark.parametrize("cell", ["\ud800x", "x\udfff", ["a", "\ud800"], " \udc00\ud800"])
def test_half_a_letter_is_no_text(cell: Any) -> None:
    with pytest.raises(NotUnicodeError, match="lone surrogate, character"):
        text_of(cell)


def test_keys_lose_surrounding_space() -> None:
    assert word_of(" cat ") == "cat"


def test_bytes_are_no_text() -> None:
    with pytest.raises(TypeError):
        text_of(b"abc")


@pytest.mark.parametrize(
    ("cell", "root", "path"),
    [
        ("a/b.png", "/data", "/data/a/b.png"),
        ("/else/b.png", "/data", "/else/b.png"),
        (" a.png ", "/data", "/data/a.png"),
        ("a\\b.png", "/data", "/data/a/b.png"),
        ("file:///else/b%20c.png", "/data", "/else/b c.png"),
        ("a.png", "s3://bucket/set", "s3://bucket/set/a.png"),
        ("s3://other/a.png", "/data", "s3://other/a.png"),
        ({"bytes": None, "path": "a.png"}, "/data", "/data/a.png"),
        ({"bytes": None, "path": None}, "/data", None),
        ("", "/data", None),
        (None, "/data", None),
    ],
)
def test_a_media_cell_becomes_an_absolute_path(
    tmp_path: Path, cell: Any, root: str, path: str | None
) -> None:
    assert media_of(cell, root, tmp_path, ("/else", "s3://other")) == path


@pytest.mark.parametrize("cell", ["/else/b.png", "file:///else/b%20c.png", "s3://other/a.png", "../a.png"])
def test_a_media_cell_does_not_lead_out_of_the_declared_roots(tmp_path: Path, cell: str) -> None:
    with pytest.raises(UnusableCellError, match=r"outside of the manifest's folder; data\.roots declares"):
        media_of(cell, "/data", tmp_path)


def test_a_number_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        media_of(3, "/data", tmp_path)


@pytest.mark.parametrize("root", ["/data", "/data/", "/", "/da.ta"])
@pytest.mark.parametrize(
    "path", ["a.png", "./a", "b//c", "d/", ".", "../x", ".hidden/a", "/absolute//y", "a/./b"]
)
def test_paths_are_tidy_as_pathlib_makes_them(root: str, path: str) -> None:
    assert resolve(root, path) == str(Path(root) / path)
