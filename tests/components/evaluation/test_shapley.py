"""The axioms that make a Shapley value one, for any game of up to five inputs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluation.shapley import (
    interactions,
    leaning_shares,
    shapley_shares,
    shapley_values,
    subsets,
)
from components.metrics.thresholds import with_thresholds
from components.targets import Multilabel

NAMES = ("image", "text", "audio", "tabular", "extra")


@st.composite
def games(draw):
    names = NAMES[: draw(st.integers(1, 5))]
    value = st.floats(-10, 10)
    return names, {frozenset(s): draw(value) for s in [(), *subsets(names)]}


def test_subsets_come_by_size_and_then_in_the_order_of_the_file():
    assert subsets(["b", "a", "c"]) == [
        ("b",), ("a",), ("c",), ("b", "a"), ("b", "c"), ("a", "c"), ("b", "a", "c")
    ]  # fmt: skip


@given(games())
@settings(max_examples=60, deadline=None)
def test_shares_sum_to_what_all_inputs_bring(game):
    names, values = game
    total = values[frozenset(names)] - values[frozenset()]
    assert sum(shapley_shares(values).values()) == pytest.approx(total, abs=1e-9)


@given(games(), st.data())
@settings(max_examples=60, deadline=None)
def test_an_input_that_changes_nothing_has_no_share(game, data):
    names, values = game
    idle = data.draw(st.sampled_from(names))
    values = {subset: values[subset - {idle}] for subset in values}
    assert shapley_shares(values)[idle] == pytest.approx(0, abs=1e-9)


@given(games(), st.permutations(range(5)))
@settings(max_examples=60, deadline=None)
def test_shares_follow_the_inputs_when_these_change_names(game, order):
    names, values = game
    renamed = dict(zip(names, [NAMES[i] for i in order], strict=False))
    shares = shapley_shares(values)
    others = shapley_shares({frozenset(renamed[n] for n in subset): v for subset, v in values.items()})
    assert {renamed[n]: share for n, share in shares.items()} == pytest.approx(others, abs=1e-9)


@given(games(), st.data())
@settings(max_examples=60, deadline=None)
def test_inputs_that_can_stand_in_for_each_other_share_alike(game, data):
    names, values = game
    a, b = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
    swap = {a: b, b: a}
    even = {s: v + values[frozenset(swap.get(n, n) for n in s)] for s, v in values.items()}
    shares = shapley_shares(even)
    assert shares[a] == pytest.approx(shares[b], abs=1e-9)


def test_a_game_known_by_hand():
    values = {"": 0.1, "a": 0.5, "b": 0.3, "ab": 0.9}
    shares = shapley_shares({frozenset(s): v for s, v in values.items()})
    assert shares == pytest.approx({"a": (0.4 + 0.6) / 2, "b": (0.2 + 0.4) / 2})


def test_a_missing_subset_is_named():
    with pytest.raises(ValueError, match=r"none given for \{\}, \{a, b\}"):
        shapley_shares({frozenset("a"): 1.0, frozenset("b"): 1.0})


def test_arrays_are_shared_row_by_row_and_missing_inputs_are_skipped():
    rng = np.random.default_rng(0)
    values = {frozenset(s): rng.normal(size=6) for s in [(), *subsets(("image", "text"))]}
    values[frozenset({"text"})][0] = values[frozenset()][0]  # row 0 has no text
    values[frozenset({"image", "text"})][0] = values[frozenset({"image"})][0]
    shares = shapley_values(values)
    expected = values[frozenset({"image", "text"})] - values[frozenset()]
    np.testing.assert_allclose(shares["image"] + shares["text"], expected)
    assert shares["text"][0] == pytest.approx(0, abs=1e-12)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=5))
@settings(max_examples=40, deadline=None)
def test_inputs_that_add_up_do_not_interact(worth):
    names = NAMES[: len(worth)]
    own = dict(zip(names, worth, strict=True))
    pairs = interactions({frozenset(s): sum(own[n] for n in s) for s in [(), *subsets(names)]})
    assert len(pairs) == len(names) * (len(names) - 1) / 2
    assert all(value == pytest.approx(0, abs=1e-9) for value in pairs.values())


def test_two_inputs_that_only_tell_together_interact_by_all_they_tell():
    # exclusive or: half right from nothing and from each alone, all right from both
    values = {"": 0.5, "a": 0.5, "b": 0.5, "ab": 1.0}
    assert interactions({frozenset(s): v for s, v in values.items()}) == {("a", "b"): 0.5}


def test_two_inputs_that_say_the_same_interact_negatively():
    values = {"": 0.5, "a": 0.9, "b": 0.9, "ab": 0.9}
    pairs = interactions({frozenset(s): v for s, v in values.items()})
    assert pairs == {("a", "b"): pytest.approx(-0.4)}


def test_interactions_of_three_are_known_by_hand():
    # a and b are an exclusive or, c is worth .2 whatever else is there
    def worth(subset):
        return 0.5 * ({"a", "b"} <= subset) + 0.2 * ("c" in subset)

    pairs = interactions({frozenset(s): worth(set(s)) for s in [(), *subsets("abc")]})
    expected = {("a", "b"): 0.5, ("a", "c"): 0.0, ("b", "c"): 0.0}
    assert pairs == pytest.approx(expected, abs=1e-12)
    # something that only all three tell is shared out: every pair has half of it
    triple = interactions({frozenset(s): float(len(s) == 3) for s in [(), *subsets("abc")]})
    assert triple == dict.fromkeys(expected, 0.5)


@given(games())
@settings(max_examples=40, deadline=None)
def test_an_interaction_is_how_far_one_input_changes_the_share_of_another(game):
    # I(i, j) = share of i where j is always there, less its share where j never is
    names, values = game
    if len(names) < 2:
        assert interactions(values) == {}
        return
    for (i, j), value in interactions(values).items():
        rest = [name for name in names if name != j]
        smaller = [frozenset(s) for s in [(), *subsets(rest)]]
        with_j = shapley_shares({s: values[s | {j}] for s in smaller})[i]
        without = shapley_shares({s: values[s] for s in smaller})[i]
        assert value == pytest.approx(with_j - without, abs=1e-8)


SHARES = """
import random
from itertools import combinations
from components.evaluation.shapley import shapley_shares

names, draw = ["picture", "sound", "words", "facts"], random.Random(0)
values = {frozenset(subset): draw.random() for size in range(5) for subset in combinations(names, size)}
print({name: share.hex() for name, share in shapley_shares(values).items()})
"""


def test_shares_are_the_same_to_the_last_bit_in_every_process() -> None:
    # Python orders sets of words anew in each process, and the order of a sum decides its last bit
    worths = {
        subprocess.run(
            [sys.executable, "-c", SHARES],
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(worths) == 1


def test_shares_of_predictions_with_thresholds_are_those_of_the_labels_that_are_given():
    target = Multilabel("tags", "f1_macro", ("a", "b"), "|", "none")
    made = {
        ("x",): with_thresholds(np.array([[0.2, 0.1]]), np.array([0.9, 0.9])),
        ("y",): with_thresholds(np.array([[0.1, 0.1]]), np.array([0.9, 0.9])),
        ("x", "y"): with_thresholds(np.array([[0.3, 0.1]]), np.array([0.2, 0.9])),  # a is given
    }
    shares = leaning_shares(target, made, np.array([0.1, 0.1]))
    assert sum(share[0] for share in shares.values()) == pytest.approx(np.log(0.3 / 0.1))
    assert shares["x"][0] > shares["y"][0]
