"""Ranking of fusions: means over seeds, their intervals, and the winner on validation."""

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
from components.targets import AnyTarget, rank

Comparison = Literal["selected", "budget"]


@dataclass(frozen=True)
class Entrant:
    """Fusion with the options selected for one seed, and its scores.

    Attributes:
        trial: Trial that was trained.
        comparison: ``selected`` options, or the width of the parameter budget.
        scored: Scores of the fusion and of its baselines on the same rows.
        parameters: Number of trainable parameters.
        seconds: Time of the training.
        target: Target, as built from these rows.
    """

    trial: Trial
    comparison: Comparison
    scored: Scored
    parameters: int
    seconds: float
    target: AnyTarget


@dataclass(frozen=True)
class Row(Stored):
    """Row of the ranking: one model over all seeds.

    Attributes:
        model: Name of the model, such as a fusion or an input.
        kind: Kind of the model.
        val: Mean validation metric.
        val_loss: Mean validation log loss, which decides between equal metrics.
        test: Mean test metric with its interval, see :class:`Ranking`.
        gain: Gain on test over the best single input: paired bootstrap over rows, mean over seeds.
        parameters: Mean number of trainable parameters; None if the sweep did not train the model.
        seconds: Mean time of the training; None if the sweep did not train the model.
        seeds: Number of seeds.
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
        pipeline: Name of the pipeline.
        metric: Metric of the primary target.
        confidence: Level of the intervals.
        interval: Source of variation of ``Row.test``: ``seed`` (Student's t), or ``rows`` (bootstrap)
            with one seed.
        rows: Fusions, the best on validation first; then the baselines; the delivered model last.
        budget: Parameters of the second comparison; None without one.
        matched: Fusions at that budget, the best on validation first.
        best_single: Input with the best validation metric, which gains are measured against.
        winner: Best fusion on validation.
        params: Options of the winner in its best seed on validation.
        seed: Seed of these options.
        skipped: Reason per fusion that could not be compared.
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
        """Result in one line."""
        first, delivered = self.rows[0], self.rows[-1]
        return (
            f"{self.winner} wins on validation: test {self.metric} {shown(first.test)}; delivered "
            f"{signed(delivered.gain)} against {self.best_single} alone"
        )

    @property
    def findings(self) -> tuple[str, ...]:
        """Line per fusion that could not be compared."""
        return tuple(f"{fusion} skipped: {reason}" for fusion, reason in self.skipped.items())

    def metrics(self) -> dict[str, float]:
        """Return flat metrics of the sweep's run, such as ``tiny_delivered_test_accuracy``."""
        values: dict[str, float] = {}
        for row in self.rows:
            name = f"{self.pipeline}_{row.model.replace(' ', '_')}"
            values[f"{name}_val_{self.metric}"] = row.val
            values |= bounds(f"{name}_test_{self.metric}", row.test)
            values |= bounds(f"{name}_gain", row.gain)
        return values

    def tables(self) -> dict[str, Table]:
        """Return the tables of all models, and of the fusions at the same budget of parameters."""
        covers = "seeds, Student's t" if self.interval == "seed" else "test rows, bootstrap"
        tables = {
            f"ranking_{self.pipeline}": self._table(
                self.rows,
                f"{self.headline}. Intervals: {self.confidence:.0%}, over {covers}; gains: over test rows, "
                "paired bootstrap. Order and winner by validation only.",
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
        gain = estimate(f"gain over {self.best_single}", "+.3f", ("gain low", "gain high"))
        return Table.of(
            caption,
            rows,
            (text("pipeline", brief=""), lambda row: self.pipeline),
            (text("model"), lambda row: row.model),
            (text("kind", brief=""), lambda row: row.kind),
            (number(f"val {self.metric}", brief="val"), lambda row: row.val),
            (number(f"test {self.metric}", brief="test"), lambda row: row.test.value),
            (interval("interval"), lambda row: row.test),
            (gain, lambda row: row.gain),
            (number("parameters", "", brief="params", undefined=""), lambda row: row.parameters),
            (
                number("seconds", ".1f", brief="", undefined=""),
                lambda row: None if row.seconds is None else round(row.seconds, 1),
            ),
            (number("seeds", "", brief=""), lambda row: row.seeds),
            title=f"{title}: {level} over {over}; ranked on validation",
            marked=lambda row: row.kind == DELIVERED,
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
    """Rank fusions by validation, and measure their metric and gain on test.

    Args:
        pipeline: Name of the pipeline.
        entrants: Every fusion and seed that finished, at least one of them ``selected``.
        resamples: Number of bootstrap resamples.
        confidence: Level of the intervals.
        budget: Parameters of the second comparison; None without one.
        skipped: Reason per fusion that is not among the entrants.
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
            values, parts, predictions = entrant.scored.read()
            against, own = predictions[best_single], predictions[candidate]
            rivals.append(Rivals(entrant.target, values, own, against, parts))
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
        # A fusion that failed for some seeds ranks below those that never failed.
        return tuple(sorted(rows, key=lambda r: (r.seeds, rank(metric, r.val, r.val_loss)), reverse=True))

    fusions = ranked("selected")
    winner = fusions[0].model
    of_winner = [entrant for entrant in selected if entrant.trial.fusion == winner]
    best = max(of_winner, key=lambda entrant: key([entrant.scored.scores[FUSION]]))
    beside = {  # the baselines are the same for every fusion, but for those that it is a part of
        name: of_winner if score.kind in ("late", "ensemble") else list(by_seed.values())
        for name, score in best.scored.scores.items()
        if name not in (FUSION, DELIVERED, *(row.model for row in fusions))
    }
    return Ranking(
        pipeline=pipeline,
        metric=metric,
        confidence=confidence,
        interval="seed" if len(by_seed) > 1 else "rows",
        rows=(
            *fusions,
            *(row(name, name, of, False) for name, of in beside.items()),
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
    """Compute mean and Student's t interval over seeds; with one seed, return its own interval."""
    if len(intervals) == 1:
        return intervals[0]
    return t_interval([interval.value for interval in intervals], confidence)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
