"""Folds of rows: what belongs together stays together, and nothing is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from components.training.folds import Fold, folds_of_input, folds_of_rows, named


def table(contents: list[str], groups: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"row-{number}" for number in range(len(contents))],
            "group": pd.Series(groups, dtype=object),
            "image.digest": contents,
            "sound.digest": [f"sound of {number}" for number in range(len(contents))],
        }
    )


rows = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([None, "x", "y", "z"])), min_size=2)


@given(rows=rows, folds=st.integers(2, 5))
def test_equal_content_is_in_one_fold(rows: list[tuple[str, str | None]], folds: int) -> None:
    samples = table([content for content, _ in rows], [group for _, group in rows])
    number = folds_of_input(samples, "image", folds)
    assert pd.Series(number).groupby(samples["image.digest"]).nunique().max() == 1
    assert set(number) <= set(range(folds))


@given(rows=rows, folds=st.integers(2, 5))
def test_rows_that_share_group_or_content_are_in_one_fold(
    rows: list[tuple[str, str | None]], folds: int
) -> None:
    samples = table([content for content, _ in rows], [group or "x" for _, group in rows])
    number = pd.Series(folds_of_rows(samples, ["image", "sound"], folds))
    assert number.groupby(samples["image.digest"]).nunique().max() == 1
    assert number.groupby(samples["group"]).nunique().max() == 1


def test_folds_are_of_equal_size_and_do_not_depend_on_the_order() -> None:
    samples = table([f"picture {number}" for number in range(103)], [None] * 103)
    number = folds_of_rows(samples, ["image", "sound"], 5)
    assert np.bincount(number).tolist() == [21, 21, 21, 20, 20]
    shuffled = samples.sample(frac=1, random_state=0)
    np.testing.assert_array_equal(
        folds_of_rows(shuffled.reset_index(drop=True), ["image", "sound"], 5), number[shuffled.index]
    )


def test_rows_that_all_hang_together_are_divided_one_by_one() -> None:
    samples = table(["one picture"] * 50, [None] * 50)
    assert np.bincount(folds_of_rows(samples, ["image", "sound"], 5)).tolist() == [10] * 5


def test_a_training_of_a_fold_is_named_by_it() -> None:
    assert named("image", None) == "image"
    assert named("image", Fold(1, 3)) == "image, fold 2 of 3"
