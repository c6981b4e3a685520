"""False promotions over years of weekly runs, power, and gates: braid's promotion rule on simulated models.

    python -m benchmarks.promotion --years 1000

A test row is hard for every model to some degree, and each model has luck of its own. ``false`` is the share
of years in which any of 52 challengers, each as good as the champion, was promoted; it is then champion
itself. ``found`` is the share of 10 runs of challengers two points better in which one was promoted. The
former rule promoted whenever the 95 % interval of the gain was above 0. Gates: challengers with the accuracy
of the champion in every subset of inputs, or 8 points less in one of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from scipy import stats

from benchmarks.machine import machine
from components.promotion.budget import YEAR, Budget
from components.promotion.gates import Gate, Loss

_CONFIDENCE, _BOUND = 0.95, 0.05
_ROWS = (500, 1000, 2000, 3000, 4000)


class World:
    """Test rows on which models err; every array has a line per simulated year.

    Args:
        years: Number of years Y.
        rows: Number of test rows N.
        rng: Source of all luck.
        error: Share of rows on which a model errs.
    """

    def __init__(self, years: int, rows: int, rng: np.random.Generator, error: float = 0.15) -> None:
        self._rng, self._error = rng, error
        self._hard = self._rows(years, rows)

    def _rows(self, years: int, rows: int) -> np.ndarray:
        # most errors are on few rows, which most models get wrong: two models differ on a tenth of the rows
        return self._rng.beta(0.35 * self._error / 0.15, 2.0, (years, rows)).astype(np.float32)

    def renew(self, share: float) -> np.ndarray:
        """Replace the oldest rows, and give the number of new ones."""
        count = round(share * self._hard.shape[1])
        if count:
            fresh = self._rows(len(self._hard), count)
            self._hard = np.concatenate([self._hard[:, count:], fresh], axis=1)
        return np.asarray(count)

    def model(self, better: float = 0.0) -> np.ndarray:
        """Draw where a model is wrong, (Y, N) bool; better by so many points of accuracy."""
        scale = 1 - better / float(self._hard.mean())
        return self._rng.random(self._hard.shape, np.float32) < self._hard * np.float32(scale)

    def errs_on(self, count: int) -> np.ndarray:
        """Draw where a model is wrong on the newest rows, (Y, count)."""
        hard = self._hard[:, -count:]
        return self._rng.random(hard.shape, np.float32) < hard


def gains(champion: np.ndarray, challenger: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gain of a challenger and its standard error, (Y,) each."""
    difference = champion.astype(np.float32) - challenger
    return difference.mean(axis=1), difference.std(axis=1, ddof=1) / np.sqrt(difference.shape[1])


def reach(budget: Budget | None, rows: int) -> float:
    """Standard errors that the gain must exceed; the former rule without a budget."""
    level = (1 - _CONFIDENCE) / 2 if budget is None else budget.level(_CONFIDENCE)
    return float(stats.t.ppf(1 - level, rows - 1))


def false_promotions(years: int, rows: int, renewed: float, spend: bool, seed: int) -> float:
    """Share of years of weekly runs of equal models with any promotion."""
    world = World(years, rows, np.random.default_rng(seed))
    champion, promoted = world.model(), np.zeros(years, bool)
    budget = Budget()
    for week in range(YEAR):
        count = int(world.renew(renewed)) if week else 0
        if count:
            champion = np.concatenate([champion[:, count:], world.errs_on(count)], axis=1)
        budget = budget.spend(renewed if week else 1.0)
        challenger = world.model()
        gain, error = gains(champion, challenger)
        won = gain > reach(budget if spend else None, rows) * error
        promoted |= won
        champion[won] = challenger[won]
    return float(promoted.mean())


def detection(years: int, rows: int, better: float, before: int, spend: bool, seed: int) -> float:
    """Share of times that a better challenger is promoted in 10 runs, after so many of equal ones."""
    world = World(years, rows, np.random.default_rng(seed))
    champion, promoted = world.model(), np.zeros(years, bool)
    budget = Budget()
    for week in range(before + 10):
        budget = budget.spend(0.0 if week else 1.0)
        if week >= before:
            gain, error = gains(champion, world.model(better))
            promoted |= gain > reach(budget if spend else None, rows) * error
    return float(promoted.mean())


def gate_outcomes(draws: int, rows: int, inputs: int, worse: float, seed: int) -> tuple[float, float, float]:
    """Shares of challengers that the worst-subset gate blocks, by the test and by the point estimate, and of
    those on which it is undecided; the challenger is worse by so much in the first subset."""
    rng = np.random.default_rng(seed)
    subsets = 2**inputs - 2
    gate = Gate(_CONFIDENCE, subsets + 1, 0, 0)
    blocked = undecided = former = 0
    for _ in range(draws):
        hard = rng.beta(0.5, 1.2, rows)  # accuracy of about .7 with fewer inputs
        checks = []
        for subset in range(subsets):
            old = rng.random(rows) < hard
            extra = worse / (1 - hard.mean()) if subset == 0 else 0.0
            new = rng.random(rows) < hard + (1 - hard) * extra
            difference = new.astype(float) - old
            lost = Loss(difference.mean(), difference.std(ddof=1) / np.sqrt(rows), rows - 1)
            checks.append((lost.value, gate.check("subset", lost, _BOUND, "")))
        blocked += any(not check.passed for _, check in checks)
        undecided += all(check.passed for _, check in checks) and any(c.undecided for _, c in checks)
        former += any(value > _BOUND for value, _ in checks)
    return blocked / draws, undecided / draws, former / draws


def main(arguments: Sequence[str] | None = None) -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--years", type=int, default=1000, help="simulated years, and draws of a gate")
    years = parser.parse_args(arguments).years
    print(f"{machine()}; {years} years\n")
    print("| test rows | fresh per week | false, former rule | false |\n|---|---|---|---|")
    for rows, renewed in ((166, 0.0), (1000, 0.0), (1000, 0.02), (1000, 0.1), (1000, 1.0)):
        rates = [false_promotions(years, rows, renewed, spend, 0) for spend in (False, True)]
        print(f"| {rows} | {renewed:.0%} | {rates[0]:.3f} | {rates[1]:.3f} |")
    print(
        "\n| test rows | found, at the start | found, after 26 runs | found, former rule |\n|---|---|---|---|"
    )
    for rows in _ROWS:
        count = min(years, 400)
        rates = [detection(count, rows, 0.02, *each, 1) for each in ((0, True), (26, True), (0, False))]
        print(f"| {rows} | {' | '.join(f'{rate:.2f}' for rate in rates)} |")
    print("\n| inputs | test rows | loss | blocked | undecided | blocked by the point estimate |")
    print("|---|---|---|---|---|---|")
    for inputs, rows in ((2, 100), (3, 100), (2, 500), (3, 500), (2, 2000), (3, 2000), (2, 4000), (3, 4000)):
        for worse in (0.0, 0.08):
            outcomes = gate_outcomes(min(years, 500), rows, inputs, worse, 2)
            print(f"| {inputs} | {rows} | {worse} | {' | '.join(f'{rate:.3f}' for rate in outcomes)} |")


if __name__ == "__main__":
    main()
