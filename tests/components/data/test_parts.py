"""Rows of a group, or with the same content, are one part of the data."""

from pathlib import Path

import numpy as np
import pandas as pd

from components.data.parts import connected, independent_parts
from components.data.samples import SamplesTable


def parts_of(path: Path, rows: pd.DataFrame) -> list[int]:
    rows = rows.assign(id=[f"r{row}" for row in range(len(rows))], split="test")
    rows.to_parquet(path / "samples.parquet")
    table = SamplesTable(path / "samples.parquet")
    return independent_parts(table, rows[["id", "image.digest", "note.digest"]], ["image", "note"]).tolist()


def test_rows_that_share_a_group_or_a_content_hang_together(tmp_path: Path) -> None:
    alone = [f"only {row}" for row in range(20)]
    rows = pd.DataFrame(
        {
            "group": ["a", "a", None, None, None, None, *alone],
            "image.digest": ["1", "2", "2", None, None, "9", *alone],
            "note.digest": ["n", "m", "o", "p", "q", "p", *[None] * 20],
        }
    )
    assert parts_of(tmp_path, rows) == [0, 0, 0, 1, 2, 1, *range(3, 23)]


def test_a_few_contents_that_are_paired_with_everything_are_no_groups(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "group": [None] * 12,
            "image.digest": [str(row % 2) for row in range(12)],
            "note.digest": [str(row % 6) for row in range(12)],
        },
        dtype=object,
    )
    assert parts_of(tmp_path, rows) == [*range(6), *range(6)]  # the same image with the same note


def test_links_reach_over_several_columns() -> None:
    first, second = pd.Series(["x", "x", "y", None]), pd.Series(["1", "2", "2", "3"])
    assert np.unique(connected([first, second]), return_inverse=True)[1].tolist() == [0, 0, 0, 1]
