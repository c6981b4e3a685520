"""Columns of text in Arrow's memory: they behave as the list of their cells does."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.storage.column import Column

words = st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "ä", "class 1"]), st.text(max_size=3)))


@given(words, st.data())
def test_a_column_is_the_list_of_its_cells(cells: list[str | None], data: st.DataObject) -> None:
    cells = [cell if cell is None else cell.encode("utf-8", "replace").decode() for cell in cells]
    column = Column.of(cells)
    assert list(column) == cells
    assert len(column) == len(cells)
    assert [column[row] for row in range(len(cells))] == cells
    start, stop = data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))
    assert list(column[start:stop]) == cells[start:stop]
    keep = np.array([data.draw(st.booleans()) for _ in cells], bool)
    assert list(column.keep(keep)) == [cell for cell, wanted in zip(cells, keep, strict=True) if wanted]
    assert column.equals("a").tolist() == [cell == "a" for cell in cells]


def test_many_cells_come_in_order_and_equal_words_are_one_object() -> None:
    cells = [f"class {row % 7}" if row % 5 else None for row in range(10_000)]
    column = Column.of(cells)
    assert list(column) == cells
    assert len({id(cell) for cell in list(column)}) == 8


def test_more_words_than_are_shared_are_right_too() -> None:
    cells = [str(row) for row in range(9000)] * 2
    assert list(Column.of(cells)) == cells


def test_a_column_takes_a_fraction_of_a_list() -> None:
    before = pa.total_allocated_bytes()
    column = Column.of(f"row-{row:08d}" for row in range(50_000))
    assert pa.total_allocated_bytes() - before < 20 * len(column)  # a str alone has 61 bytes, its place 8


def test_slices_have_no_step() -> None:
    with pytest.raises(ValueError, match="no step"):
        Column.of(["a", "b"])[::2]
