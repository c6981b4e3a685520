"""Votes on labels: what goes with them, what does not, and where it stops to."""

from __future__ import annotations

import numpy as np
import pytest

from components.audit.votes import shuffled_blocks, vote

ROWS, CLASSES = 900, 3


def made(seed: int = 0, strength: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Vectors that lean towards their label, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, ROWS)
    return strength * np.eye(8)[labels] + rng.normal(size=(ROWS, 8)), labels


def voted(vectors: np.ndarray, labels: np.ndarray) -> list[tuple[int, int]]:
    votes = vote(vectors, np.eye(CLASSES)[labels], np.arange(len(labels)), 5)
    return [(b.first, b.last) for b in shuffled_blocks(votes, [str(label) for label in labels], 0.01, 0)]


def test_what_goes_with_its_labels_agrees() -> None:
    vectors, labels = made()
    votes = vote(vectors, np.eye(CLASSES)[labels], np.arange(ROWS), 5)
    assert votes.low > 0.3
    assert not votes.at_random
    assert votes.right is not None
    assert votes.right[0] > 0.6
    assert votes.right[1] == pytest.approx(1 / CLASSES, abs=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_what_has_been_shuffled_altogether_is_at_random(seed: int) -> None:
    vectors, labels = made(seed)
    rng = np.random.default_rng(seed)
    votes = vote(rng.permutation(vectors), np.eye(CLASSES)[labels], np.arange(ROWS), 5)
    assert votes.at_random
    assert shuffled_blocks(votes, [str(label) for label in labels], 0.01, 0) == []


def test_numbers_are_voted_on_too() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(ROWS, 8))
    numbers = (vectors[:, :1] + rng.normal(0, 0.3, (ROWS, 1))) * 1000
    votes = vote(vectors, numbers, np.arange(ROWS), 5)
    assert votes.skill == pytest.approx(0.95, abs=0.03)
    assert votes.right is None


def test_rows_of_one_content_do_not_vote_for_each_other() -> None:
    rng = np.random.default_rng(0)
    vectors = np.repeat(
        rng.normal(size=(100, 90)), 2, axis=0
    )  # every content twice, with the same random label
    labels = np.repeat(rng.integers(0, 2, 100), 2)
    apart = vote(vectors, np.eye(2)[labels], np.arange(200), 5)
    together = vote(vectors, np.eye(2)[labels], np.arange(200) // 2, 5)
    assert apart.skill > 0.2  # remembered
    assert together.low < 0


@pytest.mark.parametrize(("first", "length"), [(0, 60), (400, 60), (700, 200), (840, 60)])
def test_a_block_of_shuffled_rows_is_found_where_it_is(first: int, length: int) -> None:
    vectors, labels = made()
    rows = slice(first, first + length)
    vectors[rows] = np.roll(vectors[rows], 7, axis=0)
    (votes,) = voted(vectors, labels)
    assert abs(votes[0] - first) <= 12
    assert abs(votes[1] - (first + length - 1)) <= 12


def test_two_blocks_are_found() -> None:
    vectors, labels = made()
    for rows in (slice(100, 200), slice(600, 700)):
        vectors[rows] = np.roll(vectors[rows], 7, axis=0)
    votes = voted(vectors, labels)
    assert [round(first / 50) for first, _ in votes] == [2, 12]


@pytest.mark.parametrize("seed", range(12))
def test_rows_in_order_raise_no_alarm(seed: int) -> None:
    assert voted(*made(seed)) == []


@pytest.mark.parametrize("seed", range(6))
def test_a_table_sorted_by_label_of_which_one_is_hard_raises_no_alarm(seed: int) -> None:
    vectors, labels = made(seed)
    hard = labels == 1
    vectors[hard] = 0.6 * np.eye(8)[1] + np.random.default_rng(seed).normal(size=(int(hard.sum()), 8))
    order = np.argsort(labels, kind="stable")
    assert voted(vectors[order], labels[order]) == []


@pytest.mark.parametrize("seed", range(5))
def test_hard_rows_that_stand_together_in_an_ordered_table_are_no_blocks(seed: int) -> None:
    vectors, labels = made(seed, strength=3.0)
    rng = np.random.default_rng(seed)
    hard = np.repeat(rng.random(ROWS // 30) < 0.3, 30)  # stretches of 30 rows that no model tells
    noise = rng.normal(size=vectors.shape)
    assert voted(np.where(hard[:, None], noise, vectors), labels) == []
    assert voted(np.where(np.arange(ROWS)[:, None] // 30 == 7, noise, vectors), labels), (
        "one alone is a block"
    )
