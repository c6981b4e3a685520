"""Digests: equal for equal content, different for different content."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.storage.digest import (
    TableDigest,
    digest,
    digest_bytes,
    digest_file,
    digest_json,
    digest_tensors,
)


def test_digests_do_not_change_between_versions_of_braid() -> None:
    # keys of caches that users have; a change here makes every run compute everything again
    assert digest("ab", "c") == "4826ed043ab3cdec576d8541fa5d5a80"


def test_parts_are_kept_apart() -> None:
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("ab", "c", "")}) == 4


def test_order_of_parts_matters() -> None:
    assert digest("a", "b") != digest("b", "a")


def test_text_and_its_bytes_are_the_same() -> None:
    assert digest("grün") == digest("grün".encode())


def test_lone_surrogates_have_a_digest() -> None:
    assert digest("\udcff") != digest("\udcfe")  # file names that are not UTF-8 arrive like this


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000  # more than one block
    (tmp_path / "x").write_bytes(content)
    assert digest_file(tmp_path / "x") == digest_bytes(content) != digest_bytes(content[:-1])


def test_the_order_of_mapping_keys_does_not_matter_that_of_lists_does() -> None:
    assert digest_json({"a": 1, "b": {"c": 2, "d": 3}}) == digest_json({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest_json([1, 2]) != digest_json([2, 1])
    assert digest_json({"a": 1}) != digest_json({"a": 1.5})
    assert digest_json({"a": None}) != digest_json({})


class TestTensors:
    def test_order_of_names_does_not_matter(self) -> None:
        a, b = torch.arange(3.0), torch.ones(2, 2)
        assert digest_tensors({"a": a, "b": b}) == digest_tensors({"b": b, "a": a})

    def test_memory_layout_does_not_matter(self) -> None:
        x = torch.arange(6.0).view(2, 3)
        assert digest_tensors({"x": x.t()}) == digest_tensors({"x": x.t().contiguous()})

    @pytest.mark.parametrize(
        "other",
        [
            {"y": torch.zeros(2, 3)},
            {"x": torch.zeros(3, 2)},
            {"x": torch.zeros(2, 3, dtype=torch.float64)},
            {"x": torch.zeros(2, 3, dtype=torch.int32)},
            {"x": torch.zeros(2, 3).index_fill(0, torch.tensor(1), 1e-30)},
            {"x": torch.zeros(2, 3), "z": torch.zeros(0)},
        ],
    )
    def test_name_shape_type_and_value_matter(self, other: dict[str, torch.Tensor]) -> None:
        assert digest_tensors({"x": torch.zeros(2, 3)}) != digest_tensors(other)

    def test_scalars_and_bfloat16_have_one(self) -> None:
        scalar = torch.tensor(3)
        half = torch.ones(2, dtype=torch.bfloat16)
        assert digest_tensors({"s": scalar, "h": half}) != digest_tensors({"s": scalar + 1, "h": half})


cells = st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "ab", "b", "é"])), max_size=6)


def of_table(*parts: pa.Table) -> str:
    digest = TableDigest(["x"])
    for part in parts:
        digest.add(part)
    return digest.hexdigest()


def column(values: list[str | None]) -> pa.Table:
    return pa.table({"x": pa.array(values, pa.string())})


@given(cells, cells)
def test_tables_have_one_digest_where_they_hold_the_same(
    one: list[str | None], other: list[str | None]
) -> None:
    assert (of_table(column(one)) == of_table(column(other))) == (one == other)


@given(cells, st.integers(0, 6))
def test_the_digest_of_a_table_does_not_depend_on_its_parts(values: list[str | None], cut: int) -> None:
    whole = column(values)
    assert of_table(whole.slice(0, cut), whole.slice(cut)) == of_table(whole)
    assert of_table(pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])) == of_table(whole)


def test_the_digest_of_a_table_is_of_the_named_columns() -> None:
    table = pa.table({"x": ["a"], "y": ["b"]})
    assert of_table(table) == of_table(column(["a"]))
    both = TableDigest(["x", "y"])
    both.add(table)
    swapped = TableDigest(["x", "y"])
    swapped.add(pa.table({"x": ["b"], "y": ["a"]}))
    assert both.hexdigest() != swapped.hexdigest()
