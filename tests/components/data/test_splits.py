"""Drawing and honouring splits."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config.data import SplitConfig
from components.data.splits import SPLITS, assign, normal_split
from components.errors import DataError


def names(count: int) -> list[str]:
    return [f"r{row}" for row in range(count)]


def draw(targets: list[str], groups: list[str | None] | None = None, **config: object) -> list[str]:
    if groups is not None:
        config["group"] = "speaker"
    options = SplitConfig.model_validate(config)
    return assign(None, names(len(targets)), targets, groups or [None] * len(targets), options)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("train", "train"), ("Training", "train"), (" val ", "val"), ("valid", "val"), ("VALIDATION", "val"),
        ("dev", "val"), ("test", "test"), ("tarin", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_usual_names_of_splits_are_understood(written: str | None, meant: str | None) -> None:
    assert normal_split(written) == meant


def test_shares_are_met_on_average() -> None:
    counts = Counter(draw(["a"] * 10_000, val=0.1, test=0.2))
    for split, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        assert counts[split] == pytest.approx(10_000 * share, abs=4 * (10_000 * share * (1 - share)) ** 0.5)


def test_classes_that_the_draw_leaves_out_of_train_or_val_are_exchanged_between_them() -> None:
    targets = ["common"] * 200 + [f"rare{number}" for number in range(40) for _ in range(6)]
    plain, exchanged = draw(targets, stratify=False), draw(targets)
    assert [split == "test" for split in plain] == [split == "test" for split in exchanged]
    for splits in (plain, exchanged):
        counts = Counter(zip(targets, splits, strict=True))
        assert all(counts[label, "train"] for label in targets)
    assert all(counts[label, "val"] or counts[label, "train"] < 4 for label in targets)
    assert sum(not counts[label, "val"] for label in set(targets)) < 10


def test_the_draw_depends_on_ids_and_seed_but_not_on_the_order_of_rows() -> None:
    ids, targets = names(200), ["a", "b"] * 100
    none: list[str | None] = [None] * 200
    forward = dict(zip(ids, assign(None, ids, targets, none, SplitConfig()), strict=True))
    backward = dict(zip(ids[::-1], assign(None, ids[::-1], targets[::-1], none, SplitConfig()), strict=True))
    assert forward == backward
    assert forward != dict(zip(ids, assign(None, ids, targets, none, SplitConfig(seed=1)), strict=True))


def test_an_id_is_the_same_in_every_spelling() -> None:
    numbers = range(300)
    none: list[str | None] = [None] * 300
    draws = [
        assign(None, list(map(spelled, numbers)), ["a"] * 300, none, SplitConfig())
        for spelled in (str, lambda n: f"{n}.0", lambda n: f"{n}.")
    ]
    assert draws[0] == draws[1] == draws[2]


Rows = list[tuple[int, int, str]]
ROWS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 30), st.sampled_from(["a", "a", "a", "b", "rare"])),
    min_size=40, max_size=200, unique_by=lambda row: row[0],
)  # fmt: skip


def split_of(rows: Rows, grouped: bool, seed: int) -> dict[int, str]:
    """Split by id; a row's group follows from its id, so that it is the same in every table."""
    config = SplitConfig(seed=seed, group="speaker" if grouped else None)
    ids = [str(number) for number, _, _ in rows]
    groups: list[str | None] = [f"g{number % 25}" if number % 25 else None for number, _, _ in rows]
    splits = assign(None, ids, [label for _, _, label in rows], groups, config)
    return dict(zip((number for number, _, _ in rows), splits, strict=True))


@pytest.mark.parametrize("grouped", [False, True])
@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(10, 39), st.randoms(use_true_random=False), st.integers(0, 5))
def test_no_row_goes_between_train_and_test_as_a_table_grows_shrinks_and_is_shuffled(
    grouped: bool, rows: Rows, size: int, random: Random, seed: int
) -> None:
    """With rare classes, further groups and rows of new classes."""
    whole = split_of(rows, grouped, seed)
    part = random.sample(rows, size)
    try:
        before = split_of(part, grouped, seed)
    except DataError:  # too few are outside of the test: nothing is learned
        return
    alone = not any(whole[row] == "test" for row in before)  # the least of a small table is its only test row
    moved = [row for row, split in before.items() if (split == "test") != (whole[row] == "test")]
    assert not [row for row in moved if before[row] != "test"], "learned from before, judged on now"
    assert not moved or alone


def test_a_table_that_grows_moves_no_row_into_the_test() -> None:
    """As measured: 800 rows that become 1,899, and 600 rows of groups to which more come."""
    for grouped in (False, True):
        rows = [(number, number % 30, "ab"[number % 2]) for number in range(1899)]
        before, after = split_of(rows[:800], grouped, 0), split_of(rows, grouped, 0)
        assert not [row for row, split in before.items() if split != after[row]]


def test_rows_of_one_content_stay_together() -> None:
    contents = [str(row // 3) for row in range(300)]
    splits = assign(None, contents, ["a"] * 300, [None] * 300, SplitConfig())
    assert all(len({splits[row] for row in range(start, start + 3)}) == 1 for start in range(0, 300, 3))


@pytest.mark.parametrize("stratify", [True, False])
@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from("abc")), min_size=30, max_size=120),
    st.integers(0, 3),
)
def test_no_group_stands_in_two_splits(stratify: bool, rows: list[tuple[int, str]], seed: int) -> None:
    rows += [(number, "a") for number in range(12)]  # so that there are groups for every split
    groups: list[str | None] = [f"g{number}" for number, _ in rows]
    splits = draw([label for _, label in rows], groups, seed=seed, stratify=stratify)
    stands: dict[str | None, set[str]] = {}
    for group, split in zip(groups, splits, strict=True):
        stands.setdefault(group, set()).add(split)
    assert all(len(where) == 1 for where in stands.values())
    assert set(splits) == set(SPLITS)


def test_groups_come_near_the_fractions() -> None:
    groups: list[str | None] = [f"g{row % 500}" for row in range(1000)]
    counts = Counter(draw(["a"] * 1000, groups, val=0.1, test=0.2))
    assert 130 <= counts["test"] <= 270
    assert 45 <= counts["val"] <= 155


def test_a_test_far_from_its_share_is_told(caplog: pytest.LogCaptureFixture) -> None:
    draw(["a"] * 1000, [f"g{row % 500}" for row in range(1000)])
    assert not caplog.records
    groups: list[str | None] = ["large" if row < 800 else f"g{row}" for row in range(1000)]
    large_in_test = next(seed for seed in range(20) if draw(["a"] * 1000, groups, seed=seed)[0] == "test")
    caplog.clear()
    draw(["a"] * 1000, groups, seed=large_in_test)
    assert "whole groups of column 'speaker' make the test 8" in caplog.text


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"data\.split\.group: 2 groups cannot fill the splits .* leaves 1 outside"
    ):
        draw(["a", "b"] * 10, ["x"] * 10 + ["y"] * 10)


def test_three_groups_fill_three_splits() -> None:
    splits = draw(["a"] * 30, ["x"] * 10 + ["y"] * 10 + ["z"] * 10)
    assert Counter(splits) == {"train": 10, "val": 10, "test": 10}


def test_given_splits_are_kept() -> None:
    given_splits = ["train", "val", "test", "train"]
    assert (
        assign(given_splits, names(4), list("abab"), [None] * 4, SplitConfig(column="split")) == given_splits
    )


def test_a_given_group_in_two_splits_is_refused() -> None:
    with pytest.raises(DataError, match=r"1 of 2 groups of column 'speaker'.*for example 'x' in train, test"):
        assign(
            ["train", "val", "test"], names(3), list("aba"), ["x", "y", "x"],
            SplitConfig(column="split", group="speaker"),
        )  # fmt: skip


def test_val_is_drawn_from_train_rows_where_the_column_has_none() -> None:
    given_splits: list[str | None] = ["train"] * 800 + ["test"] * 200
    splits = assign(
        given_splits, names(1000), ["a", "b"] * 500, [None] * 1000, SplitConfig(column="split", val=0.25)
    )
    assert splits[800:] == ["test"] * 200
    assert set(splits[:800]) == {"train", "val"}
    assert 150 <= Counter(splits)["val"] <= 250
