"""Drawing and honouring splits."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config.data import SplitConfig
from components.data.splits import SPLITS, assign, normal_split
from components.errors import DataError


def names(count: int) -> list[str]:
    return [f"r{row}" for row in range(count)]


def draw(
    targets: list[str], groups: list[str | None] | None = None, seed: int = 0, **config: object
) -> list[str]:
    if groups is not None:
        config["group"] = "speaker"
    return assign(
        None,
        names(len(targets)),
        targets,
        groups or [None] * len(targets),
        SplitConfig.model_validate(config),
        seed,
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("train", "train"), ("Training", "train"), (" val ", "val"), ("valid", "val"), ("VALIDATION", "val"),
        ("dev", "val"), ("test", "test"), ("tarin", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_usual_names_of_splits_are_understood(written: str | None, meant: str | None) -> None:
    assert normal_split(written) == meant


def test_each_class_keeps_its_share_in_every_split() -> None:
    targets = ["a"] * 600 + ["b"] * 300 + ["c"] * 100
    counts = Counter(zip(draw(targets, val=0.1, test=0.2), targets, strict=True))
    for label, size in (("a", 600), ("b", 300), ("c", 100)):
        assert [counts[split, label] for split in SPLITS] == [0.7 * size, 0.1 * size, 0.2 * size]


def test_rare_classes_are_always_learned_and_tested_where_possible() -> None:
    targets = ["common"] * 100 + ["three"] * 3 + ["two"] * 2 + ["one"]
    splits = draw(targets)
    where = {
        label: sorted(s for s, t in zip(splits, targets, strict=True) if t == label) for label in set(targets)
    }
    assert where["three"] == ["test", "train", "val"]
    assert where["two"] == ["test", "train"]
    assert where["one"] == ["train"]


def test_without_stratification_a_class_still_reaches_train() -> None:
    targets = ["common"] * 30 + [f"rare{number}" for number in range(10)]
    splits = draw(targets, stratify=False)
    known = {target for split, target in zip(splits, targets, strict=True) if split == "train"}
    assert known == set(targets)


def test_the_draw_depends_on_ids_and_seed_but_not_on_the_order_of_rows() -> None:
    ids, targets, config = names(200), ["a", "b"] * 100, SplitConfig()
    none: list[str | None] = [None] * 200
    forward = dict(zip(ids, assign(None, ids, targets, none, config, 0), strict=True))
    backward = dict(zip(ids[::-1], assign(None, ids[::-1], targets[::-1], none, config, 0), strict=True))
    assert forward == backward
    assert forward != dict(zip(ids, assign(None, ids, targets, none, config, 1), strict=True))


def test_a_new_row_moves_few_others() -> None:
    targets = ["a", "b"] * 100
    before, after = draw(targets), draw([*targets, "a"])
    assert sum(one != other for one, other in zip(before, after, strict=False)) <= 3


@pytest.mark.parametrize("stratify", [True, False])
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from("abc")), min_size=30, max_size=120),
    st.integers(0, 3),
)
def test_no_group_stands_in_two_splits(stratify: bool, rows: list[tuple[int, str]], seed: int) -> None:
    rows += [(number, "a") for number in range(12)]  # so that there are groups for every split
    groups: list[str | None] = [f"g{number}" for number, _ in rows]
    splits = draw([label for _, label in rows], groups, seed, stratify=stratify)
    stands: dict[str | None, set[str]] = {}
    for group, split in zip(groups, splits, strict=True):
        stands.setdefault(group, set()).add(split)
    assert all(len(where) == 1 for where in stands.values())
    assert set(splits) == set(SPLITS)


def test_groups_come_near_the_fractions() -> None:
    groups: list[str | None] = [f"g{row % 50}" for row in range(1000)]
    counts = Counter(draw(["a"] * 1000, groups, val=0.1, test=0.2))
    assert counts == {"train": 700, "val": 100, "test": 200}  # 35, 5 and 10 groups of 20


def test_a_row_without_group_is_a_group_of_its_own() -> None:
    splits = draw(["a", "b"] * 100, [None] * 200)
    assert Counter(splits) == {"train": 130, "val": 30, "test": 40}


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(DataError, match=r"data\.split\.group: 2 groups \(group x, group y\) cannot fill"):
        draw(["a", "b"] * 10, ["x"] * 10 + ["y"] * 10)


def test_three_groups_fill_three_splits() -> None:
    splits = draw(["a"] * 30, ["x"] * 10 + ["y"] * 10 + ["z"] * 10)
    assert Counter(splits) == {"train": 10, "val": 10, "test": 10}


def test_given_splits_are_kept() -> None:
    given_splits = ["train", "val", "test", "train"]
    assert (
        assign(given_splits, names(4), list("abab"), [None] * 4, SplitConfig(column="split"), 0)
        == given_splits
    )


def test_a_given_group_in_two_splits_is_refused() -> None:
    with pytest.raises(DataError, match=r"1 of 2 groups of column 'speaker'.*for example 'x' in train, test"):
        assign(
            ["train", "val", "test"], names(3), list("aba"), ["x", "y", "x"],
            SplitConfig(column="split", group="speaker"), 0,
        )  # fmt: skip


def test_val_is_drawn_from_train_rows_where_the_column_has_none() -> None:
    given_splits: list[str | None] = ["train"] * 80 + ["test"] * 20
    splits = assign(
        given_splits, names(100), ["a", "b"] * 50, [None] * 100, SplitConfig(column="split", val=0.25), 0
    )
    assert splits[80:] == ["test"] * 20
    assert Counter(splits[:80]) == {"train": 60, "val": 20}
