"""Tables, metrics and the headline of an evaluation."""

from __future__ import annotations

import math
from dataclasses import asdict

import pandas as pd

from components.evaluation.results import CandidateResult, Evaluation, Interval


def headline(evaluation: Evaluation) -> str:
    """The result in one line."""
    gain = evaluation.delivered_gain
    return (
        f"{evaluation.chosen} delivered: test {evaluation.metric} {_shown(evaluation.headline)}, "
        f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] against {evaluation.best_single} alone"
    )


def tables(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """The tables that people compare: candidates, subsets, classes."""
    metric = evaluation.metric
    candidates = pd.DataFrame(
        [
            {
                "model": candidate.name
                if candidate.kind != "delivered"
                else f"delivered ({evaluation.chosen})",
                f"val {metric}": round(candidate.on_validation(metric), 4),
                **_bounds(f"test {metric}", candidate.on_test(metric)),
                "test log loss": round(candidate.on_test("log_loss").value, 4),
            }
            for candidate in evaluation.candidates
        ]
    )
    by_subset = pd.DataFrame(
        [
            {
                "inputs": " + ".join(subset.inputs),
                "answered by": subset.candidate or evaluation.chosen,
                **_bounds(f"test {metric}", subset.metric),
                "drop": round(subset.drop, 4),
            }
            for subset in evaluation.subsets
        ]
    )
    classes = pd.DataFrame([asdict(row) for row in evaluation.per_class]).round(4)
    shares = pd.DataFrame(
        [{"input": name, "shapley share": round(value, 4)} for name, value in evaluation.shapley.items()]
    )
    found = {"results": candidates, "subsets": by_subset, "classes": classes, "shares": shares}
    return {name: table for name, table in found.items() if len(table)}


def metrics_of(evaluation: Evaluation) -> dict[str, float]:
    """Flat metrics with the same names in every run: ``test_accuracy``, ``fusion_gain``, ..."""

    def of(candidate: CandidateResult, prefix: str) -> dict[str, float]:
        metric = evaluation.metric
        interval = candidate.on_test(metric)
        return {
            f"{prefix}_val_{metric}": candidate.on_validation(metric),
            f"{prefix}_test_{metric}": interval.value,
            f"{prefix}_test_{metric}_low": interval.low,
            f"{prefix}_test_{metric}_high": interval.high,
        }

    values: dict[str, float] = {}
    for name, interval in evaluation.metrics.items():
        values |= {
            f"test_{name}": interval.value,
            f"test_{name}_low": interval.low,
            f"test_{name}_high": interval.high,
        }
    for name, value in evaluation.delivered.validation.items():
        values[f"val_{name}"] = value
    for candidate in evaluation.candidates[:-1]:
        values |= of(candidate, candidate.name)
    for label, gain in (("fusion", evaluation.fusion_gain), ("delivered", evaluation.delivered_gain)):
        if gain is not None:
            values |= {
                f"{label}_gain": gain.value,
                f"{label}_gain_low": gain.low,
                f"{label}_gain_high": gain.high,
            }
    values |= {f"shapley_{name}": share for name, share in evaluation.shapley.items()}
    values |= {
        f"interaction_{pair.replace(' × ', '_and_')}": value
        for pair, value in evaluation.interactions.items()
    }
    values |= {
        f"subset_{'+'.join(subset.inputs)}_{evaluation.metric}".replace("+", "_and_"): subset.metric.value
        for subset in evaluation.subsets
    }
    if evaluation.worst_subset is not None:
        values["worst_subset_drop"] = evaluation.worst_subset.drop
    calibration = evaluation.calibration
    values |= {
        "calibration_error_before": calibration.error_before,
        "calibration_error_after": calibration.error_after,
        "temperature": calibration.temperature,
        **{f"balance_{name}": found.ratio for name, found in evaluation.balance.items()},
        "conformal_coverage": evaluation.conformal.coverage.value,
        "conformal_size": evaluation.conformal.size,
        "abstained": evaluation.conformal.abstained,
    }
    return {name: value for name, value in values.items() if math.isfinite(value)}  # defined ones


def captions(evaluation: Evaluation) -> dict[str, str]:
    """What stands above each table in the dashboard."""
    metric, level = evaluation.metric, f"{evaluation.confidence:.0%}"
    return {
        "results": f"{headline(evaluation)}. Chosen by validation; low and high: {level} bootstrap interval "
        f"over {evaluation.rows['test']} test rows.",
        "subsets": f"Test {metric} when a row has only these inputs, and what that costs.",
        "classes": "Each class or label on test.",
        "shares": f"What each input adds to {metric}: Shapley values over all subsets of inputs.",
    }


def _bounds(name: str, interval: Interval) -> dict[str, float]:
    return {name: round(interval.value, 4), "low": round(interval.low, 4), "high": round(interval.high, 4)}


def _shown(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
