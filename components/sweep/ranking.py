"""From scores to a ranking: means over seeds, how sure they are, and who wins on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from components.evaluation.bootstrap import Rivals, mean_gain
from components.evaluation.intervals import Gain, Interval, Stored, bounds, shown, signed, t_interval
from components.inference.ensemble import FUSION
from components.results.table import Table, estimate, interval, number, text
from components.sweep.plan import Trial
from components.sweep.score import DELIVERED, Kind, Score, Scored
from components.targets import AnyTarget
from components.targets.metrics import rank

Comparison = Literal["selected", "budget"]


@dataclass(frozen=True)
class Entrant:
    """A fusion with the options chosen for one seed, and its scores.

    Attributes:
        trial: What was trained.
        comparison: ``selected`` options, or the width of the parameter budget.
        scored: The fusion, and beside it what it has to beat on the same rows.
        parameters: Trainable ones.
        seconds: Of the training.
        target: What is predicted, as these rows have it.
    """

    trial: Trial
    comparison: Comparison
    scored: Scored
    parameters: int
    seconds: float
    target: AnyTarget


@dataclass(frozen=True)
class Row(Stored):
    """One model over all seeds.

    Attributes:
        model: Name of the fusion, of an input, ...
        kind: What it is.
        val: Mean validation metric.
        val_loss: Mean log loss there; tells equal ones apart.
        test: Mean test metric with its interval, see :class:`Ranking`.
        gain: On test over the best single input; paired bootstrap over rows, mean over seeds.
        parameters, seconds: Means; None where nothing was trained here.
        seeds: How many.
    """

    model: str
    kind: Kind
    val: float
    val_loss: float
    test: Interval
    gain: Gain
    parameters: int | None
    seconds: float | None
    seeds: int


@dataclass(frozen=True)
class Ranking(Stored):
    """Result of a sweep on one pipeline.

    Attributes:
        pipeline: Its name.
        metric: Metric of the primary target.
        confidence: Level of the intervals.
        interval: What ``Row.test`` covers: another ``seed`` (Student's t), or other ``rows`` (bootstrap)
            where there is one seed alone.
        rows: Fusions, best on validation first; then what they have to beat; the delivered model last.
        budget: Parameters of the second comparison; None without one.
        matched: Fusions at that budget, best on validation first.
        best_single: The input that gains are measured against, chosen on validation.
        winner: The best fusion on validation.
        params: Its options in the seed in which it did best on validation.
        seed: That seed.
        skipped: Fusions that could not be compared, and why.
    """

    pipeline: str
    metric: str
    confidence: float
    interval: Literal["seed", "rows"]
    rows: tuple[Row, ...]
    budget: int | None
    matched: tuple[Row, ...]
    best_single: str
    winner: str
    params: dict[str, Any]
    seed: int
    skipped: dict[str, str]

    @property
    def headline(self) -> str:
        """The result in one line."""
        first, delivered = self.rows[0], self.rows[-1]
        return (
            f"{self.winner} wins on validation: test {self.metric} {shown(first.test)}; delivered "
            f"{signed(delivered.gain)} against {self.best_single} alone"
        )

    @property
    def findings(self) -> tuple[str, ...]:
        """A line for each fusion that could not be compared."""
        return tuple(f"{fusion} left out: {reason}" for fusion, reason in self.skipped.items())

    def metrics(self) -> dict[str, float]:
        """Flat metrics of the sweep's run: ``tiny_delivered_test_accuracy``, ``tiny_concat_gain``, ..."""
        values: dict[str, float] = {}
        for row in self.rows:
            name = f"{self.pipeline}_{row.model.replace(' ', '_')}"
            values[f"{name}_val_{self.metric}"] = row.val
            values |= bounds(f"{name}_test_{self.metric}", row.test)
            values |= bounds(f"{name}_gain", row.gain)
        return values

    def tables(self) -> dict[str, Table]:
        """All models, and the fusions at the same budget of parameters."""
        covers = "seeds, Student's t" if self.interval == "seed" else "test rows, bootstrap"
        tables = {
            f"ranking_{self.pipeline}": self._table(
                self.rows,
                f"{self.headline}. Intervals: {self.confidence:.0%}, over {covers}; gains: over test rows, "
                "paired bootstrap. Order and winner by validation alone.",
                self.pipeline,
            ),
            f"budget_{self.pipeline}": self._table(
                self.matched,
                f"All at about {self.budget} parameters",
                f"{self.pipeline} at {self.budget} parameters",
            ),
        }
        return {name: table for name, table in tables.items() if table.rows}

    def _table(self, rows: Sequence[Row], caption: str, title: str) -> Table:
        over = "seeds" if self.interval == "seed" else "rows"
        level = f"{self.metric}, {self.confidence:.0%} intervals"
        return Table(
            caption,
            (
                text("pipeline", brief=""),
                text("model"),
                text("kind", brief=""),
                number(f"val {self.metric}", brief="val"),
                number(f"test {self.metric}", brief="test"),
                interval("interval"),
                estimate(f"gain over {self.best_single}", "+.3f", ("gain low", "gain high")),
                number("parameters", "", brief="params", undefined=""),
                number("seconds", ".1f", brief="", undefined=""),
                number("seeds", "", brief=""),
            ),
            tuple(
                (
                    self.pipeline,
                    row.model,
                    row.kind,
                    row.val,
                    row.test.value,
                    row.test,
                    row.gain,
                    row.parameters,
                    None if row.seconds is None else round(row.seconds, 1),
                    row.seeds,
                )
                for row in rows
            ),
            title=f"{title}: {level} over {over}; ranked on validation",
            marked=frozenset(position for position, row in enumerate(rows) if row.kind == DELIVERED),
        )


def rank_entrants(
    pipeline: str,
    entrants: Sequence[Entrant],
    *,
    resamples: int,
    confidence: float,
    budget: int | None,
    skipped: dict[str, str],
) -> Ranking:
    """Rank fusions by validation; say on test how good they are and what they gain.

    Args:
        pipeline: Name.
        entrants: Every fusion and seed that finished, at least one of them ``selected``.
        resamples, confidence: Of the intervals.
        budget: Parameters of the second comparison.
        skipped: Fusions that are not among the entrants, and why.
    """
    selected = [entrant for entrant in entrants if entrant.comparison == "selected"]
    metric = selected[0].target.metric
    by_seed = {entrant.trial.seed: entrant for entrant in selected}
    singles = [name for name, score in selected[0].scored.scores.items() if score.kind == "single"]

    def key(scores: Sequence[Score]) -> tuple[float, float]:
        return rank(metric, _mean([s.val for s in scores]), _mean([s.val_loss for s in scores]))

    best_single = max(singles, key=lambda name: key([e.scored.scores[name] for e in by_seed.values()]))

    def row(model: str, candidate: str, of: Sequence[Entrant], trained: bool) -> Row:
        scores = [entrant.scored.scores[candidate] for entrant in of]
        rivals = []
        for entrant in of:
            values, predictions = entrant.scored.read()
            against, own = predictions[best_single], predictions[candidate]
            rivals.append(Rivals(entrant.target, values, own, against))
        return Row(
            model=model,
            kind=scores[0].kind,
            val=_mean([score.val for score in scores]),
            val_loss=_mean([score.val_loss for score in scores]),
            test=over_seeds([score.test for score in scores], confidence),
            gain=mean_gain(rivals, metric, resamples, confidence),
            parameters=round(_mean([entrant.parameters for entrant in of])) if trained else None,
            seconds=_mean([entrant.seconds for entrant in of]) if trained else None,
            seeds=len(of),
        )

    def ranked(comparison: Comparison) -> tuple[Row, ...]:
        of = [entrant for entrant in entrants if entrant.comparison == comparison]
        names = dict.fromkeys(entrant.trial.fusion for entrant in of)
        rows = [row(name, FUSION, [e for e in of if e.trial.fusion == name], True) for name in names]
        # a fusion that failed for some seeds stands below those that never did
        return tuple(sorted(rows, key=lambda r: (r.seeds, rank(metric, r.val, r.val_loss)), reverse=True))

    fusions = ranked("selected")
    winner = fusions[0].model
    of_winner = [entrant for entrant in selected if entrant.trial.fusion == winner]
    best = max(of_winner, key=lambda entrant: key([entrant.scored.scores[FUSION]]))
    beside = [name for name, score in best.scored.scores.items() if name not in (FUSION, DELIVERED)]
    return Ranking(
        pipeline=pipeline,
        metric=metric,
        confidence=confidence,
        interval="seed" if len(by_seed) > 1 else "rows",
        rows=(
            *fusions,
            *(row(name, name, list(by_seed.values()), False) for name in beside),
            row(DELIVERED, DELIVERED, of_winner, False),
        ),
        budget=budget,
        matched=ranked("budget"),
        best_single=best_single,
        winner=winner,
        params=best.trial.params,
        seed=best.trial.seed,
        skipped=skipped,
    )


def over_seeds(intervals: Sequence[Interval], confidence: float) -> Interval:
    """Mean and Student's t interval of the values of several seeds; of one, the interval that it has."""
    if len(intervals) == 1:
        return intervals[0]
    return t_interval([interval.value for interval in intervals], confidence)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
