"""Content in two splits, columns that say too much, groups that are torn."""

from __future__ import annotations

import numpy as np
import pytest

from components.audit.leakage import (
    divided_groups,
    label_in_text_share,
    near_pairs,
    predicted_share,
    repeated_contents,
)
from components.data.keys import looks_like_group


def test_content_of_test_that_train_has_is_counted() -> None:
    digests = ["a", "b", "c", "a", "d", None, "b"]
    splits = ["train", "train", "train", "test", "test", "test", "val"]
    assert repeated_contents(digests, splits, "test") == (1, 2, 0.0)
    assert repeated_contents(digests, splits, "val") == (1, 1, 0.0)


def test_contents_that_repeat_by_themselves_are_told() -> None:
    rng = np.random.default_rng(0)
    digests = rng.integers(0, 300, 1000).astype(str).tolist()
    splits = ["train"] * 800 + ["test"] * 200
    exact, rows, by_chance = repeated_contents(digests, splits, "test")
    assert exact / rows == pytest.approx(by_chance, abs=0.06)


def test_a_row_that_is_nearly_another_is_found_and_no_other() -> None:
    rng = np.random.default_rng(0)
    train, others = rng.normal(size=(400, 60)), rng.normal(size=(100, 60))
    others[7] = train[123] + rng.normal(0, 0.02, 60)
    assert near_pairs(train, others) == [(7, 123)]


def test_a_tight_cluster_is_no_near_duplicate() -> None:
    rng = np.random.default_rng(0)
    train, others = rng.normal(size=(400, 60)), rng.normal(size=(100, 60))
    train[:50] = train[0] + rng.normal(0, 0.05, (50, 60))
    others[:5] = train[0] + rng.normal(0, 0.05, (5, 60))
    assert near_pairs(train, others) == []


LABELS = ["yes", "no", "no"] * 60
FOLDS = np.arange(180) % 5


@pytest.mark.parametrize(
    "cells",
    [
        [{"yes": "1", "no": "0"}[label] for label in LABELS],
        [{"yes": "0.9", "no": "0.1"}[label] + str(row) for row, label in enumerate(LABELS)],
        [label if label == "yes" else None for label in LABELS],
    ],
    ids=["a copy", "a number made from it", "filled in afterwards"],
)
def test_a_column_that_is_the_label_tells_it(cells: list[str | None]) -> None:
    assert predicted_share(cells, LABELS, FOLDS)[0] > 0.98


def test_ids_and_chance_tell_nothing() -> None:
    usual = 2 / 3
    assert predicted_share([f"id-{row}" for row in range(180)], LABELS, FOLDS) == (usual, usual)
    random = np.random.default_rng(0).integers(0, 4, 180).astype(str).tolist()
    assert predicted_share(random, LABELS, FOLDS)[0] < 0.75


def test_a_text_that_contains_its_label_says_it() -> None:
    texts = [f"the answer is {label.upper()}, surely" for label in LABELS]
    assert label_in_text_share(texts, LABELS) == (1.0, pytest.approx((2 / 3) ** 2 + (1 / 3) ** 2))
    assert label_in_text_share(["nothing of it"] * 180, LABELS)[0] == 0.0  # "no" is not a word of it
    assert label_in_text_share([None] * 180, LABELS) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("column", "group"),
    [
        ("speaker", True), ("Patient_ID", True), ("session", True), ("user-name", True), ("customers", True),
        ("id", False), ("label", False), ("age", False), ("speakerphone", False), ("image", False),
    ],
)  # fmt: skip
def test_groups_are_known_by_their_names(column: str, group: bool) -> None:
    assert looks_like_group(column) is group


def test_groups_in_two_splits_are_counted() -> None:
    groups = ["a", "a", "b", "b", "c", None, "d", "d"]
    splits = ["train", "test", "train", "train", "test", "test", "val", "val"]
    assert divided_groups(groups, splits) == (3, 1, pytest.approx(1 / 3))


def test_a_label_is_seen_where_words_have_no_spaces() -> None:
    texts, labels = ["我要退款谢谢", "快递没有到", "ขอคืนเงินครับ"] * 10, ["退款", "快递", "คืนเงิน"] * 10
    assert label_in_text_share(texts, labels)[0] == 1.0
