"""Coverage of braid's nominal 95 % intervals on simulated rows, independent and in groups.

    python -m benchmarks.coverage --draws 500

A test set is drawn from a population whose accuracy and area are known. Rows of a group share a chance of
being right, from a beta distribution with an intraclass correlation of .1. ``gain`` is the difference of two
equal models that share part of their luck. ``naive`` takes rows for independent, as without a group column.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.machine import machine
from components.evaluation.bootstrap import bootstrap_intervals, paired_gain
from components.evaluation.intervals import Gain, Interval
from components.targets import Classification

TARGET = Classification("label", "accuracy", ("a", "b"))
_CORRELATION = 0.1


@dataclass(frozen=True)
class Kind:
    """Kind of test set: groups of so many rows each, and the accuracy of the model."""

    name: str
    sizes: tuple[int, ...]
    accuracy: float = 0.7
    correlation: float = _CORRELATION


KINDS = (
    Kind("166 rows, accuracy .98", (1,) * 166, 0.98, 0.0),
    Kind("166 rows, accuracy .7", (1,) * 166, 0.7, 0.0),
    Kind("60 rows, accuracy .9", (1,) * 60, 0.9, 0.0),
    Kind("20 groups × 20", (20,) * 20),
    Kind("20 groups × 20, accuracy .95", (20,) * 20, 0.95),
    Kind("10 groups × 40", (40,) * 10),
    Kind("6 speakers × 40", (40,) * 6),
    Kind("15 groups of 4 to 102 rows", tuple(range(4, 109, 7))),
    Kind("200 groups × 5", (5,) * 200),
)


@dataclass(frozen=True)
class Rows:
    """One test set: encoded labels (N,), predictions (N, 2) of two models, part of each row, true area."""

    labels: np.ndarray
    first: np.ndarray
    second: np.ndarray
    parts: np.ndarray


def draw(kind: Kind, rng: np.random.Generator) -> Rows:
    """Draw a test set for two equal models, to which half of the groups are equally hard."""
    parts = np.repeat(np.arange(len(kind.sizes)), kind.sizes)
    labels = rng.integers(0, 2, len(parts))
    own, other, shared = (_chances(kind, rng) for _ in range(3))
    common = rng.random(len(kind.sizes)) < 0.5
    luck = rng.random(len(parts))
    models = []
    for each in (own, other):
        chance = np.where(common, shared, each)[parts]
        mixed = np.where(rng.random(len(parts)) < 0.5, luck, rng.random(len(parts)))
        right = mixed < chance
        models.append(np.where((labels == 1) == right, 0.7, 0.3))
    first, second = (np.stack([1 - p, p], axis=1) for p in models)
    return Rows(labels, first, second, parts)


def _chances(kind: Kind, rng: np.random.Generator) -> np.ndarray:
    if kind.correlation == 0:
        return np.full(len(kind.sizes), kind.accuracy)
    total = 1 / kind.correlation - 1
    return rng.beta(kind.accuracy * total, (1 - kind.accuracy) * total, len(kind.sizes))


def area_rows(kind: Kind, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw labels, predictions and parts of a ranking whose scores have an effect of the group; area .76."""
    parts = np.repeat(np.arange(len(kind.sizes)), kind.sizes)
    labels = rng.integers(0, 2, len(parts))
    effect = rng.normal(0, np.sqrt(kind.correlation), len(kind.sizes))[parts]
    noise = rng.normal(0, np.sqrt(1 - kind.correlation), len(parts))
    p = stats.norm.cdf(labels + effect + noise)
    return labels, np.stack([1 - p, p], axis=1), parts


def coverage(kind: Kind, draws: int, seed: int = 0) -> Iterator[tuple[str, float, float, float]]:
    """Measure coverage and mean width of intervals: name, coverage, width, coverage of naive intervals."""
    rng = np.random.default_rng(seed)
    area = float(stats.norm.cdf(1 / np.sqrt(2)))
    truths = {"accuracy": kind.accuracy, "f1_macro": kind.accuracy, "gain": 0.0, "roc_auc": area}
    known = {name: np.zeros((draws, 3)) for name in truths}
    for number in range(draws):
        rows = draw(kind, rng)
        ranked = area_rows(kind, rng)
        for naive in (False, True):
            parts = None if naive or max(kind.sizes) == 1 else rows.parts
            made: dict[str, Interval | Gain] = {}
            made |= bootstrap_intervals(
                TARGET, rows.labels, rows.first, 200, names=["accuracy", "f1_macro"], parts=parts
            )
            made["gain"] = paired_gain(
                TARGET, rows.labels, rows.first, rows.second, "accuracy", 200, parts=parts
            )
            made |= bootstrap_intervals(TARGET, *ranked[:2], 200, names=["roc_auc"], parts=parts)
            for name, truth in truths.items():
                each = made[name]
                known[name][number, 2 if naive else 0] = each.low <= truth <= each.high
                if not naive:
                    known[name][number, 1] = each.high - each.low
    for name, measured in known.items():
        held, width, naive_held = measured.mean(axis=0)
        yield name, held, width, naive_held


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", type=int, default=500, help="test sets of each kind")
    given = parser.parse_args()
    print(f"{machine()}; {given.draws} test sets of each kind, nominal level .95\n")
    print("| test rows | interval of | coverage | mean width | coverage, naive |")
    print("|---|---|---|---|---|")
    for kind in KINDS:
        for name, held, width, naive in coverage(kind, given.draws):
            print(f"| {kind.name} | {name} | {held:.3f} | {width:.3f} | {naive:.3f} |")


if __name__ == "__main__":
    main()
