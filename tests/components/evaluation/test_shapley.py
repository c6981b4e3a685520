"""The axioms that make a Shapley value one, for any game of up to five inputs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluation.shapley import sample_shares, shapley_shares, subsets

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


def test_sample_shares_sum_to_the_log_probability_and_skip_missing_inputs():
    rng = np.random.default_rng(0)
    prior, names = np.array([0.5, 0.3, 0.2]), ("image", "text")
    predictions = {s: rng.dirichlet([1, 1, 1], size=6) for s in subsets(names)}
    predictions[("text",)][0] = prior  # row 0 has no text
    predictions[("image", "text")][0] = predictions[("image",)][0]
    predicted = predictions[names].argmax(axis=1)
    shares = sample_shares(predictions, prior, predicted)
    expected = np.log(predictions[names][np.arange(6), predicted]) - np.log(prior[predicted])
    np.testing.assert_allclose(shares["image"] + shares["text"], expected)
    assert shares["text"][0] == pytest.approx(0, abs=1e-12)
