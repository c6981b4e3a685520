"""Task: choose, deliver and judge."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from prefect.artifacts import create_table_artifact

from components.bundle import model_digest
from components.data.ingest import Dataset
from components.deliver import deliver
from components.evaluation.figures import all_figures
from components.evaluation.results import CandidateResult, Curve, Evaluation, Interval, Judged
from components.judge import judge
from components.references import Features, FusedModel, Prepared, Single, Trained
from components.storage.atomic import replacing, write_bytes
from components.training.loop import best_epoch
from components.training.resumable import read_history
from tasks import tracking
from tasks.context import Context
from tasks.progress import Progress
from tasks.step import step


@dataclass(frozen=True)
class Evaluated:
    """Where the results of an evaluation are.

    Attributes:
        evaluation: JSON of :class:`components.evaluation.results.Judged`.
        predictions: Parquet of the test predictions.
        curves: Histories of the trainings, by name.
    """

    evaluation: str
    predictions: str
    curves: dict[str, str]

    def read(self) -> Evaluation:
        """The evaluation of the primary target."""
        return self.read_all()[0]

    def read_all(self) -> tuple[Evaluation, ...]:
        """Of every target, the primary one first."""
        return Judged.from_json(Path(self.evaluation).read_text("utf-8")).evaluations

    def read_predictions(self) -> pd.DataFrame:
        """One row a test sample; see :class:`components.judge.Judgement`."""
        return pd.read_parquet(self.predictions)


@step(name="evaluate", task_run_name="evaluate", tags=["evaluation"])
def evaluate_task(
    context: Context,
    dataset: Dataset,
    prepared: dict[str, Prepared],
    singles: dict[str, Single],
    features: dict[str, Features],
    fused: FusedModel | None,
    aligned: Trained | None = None,
) -> Evaluated:
    """Choose among the candidates on validation, write the bundle, judge it on test."""
    config, at, run = context.config, context.tracking, context.mlflow_run
    progress = Progress(context, "evaluate")
    progress(0, 2, "choosing on validation")
    deliver(dataset, prepared, singles, features, fused, config, context.bundle, aligned)
    progress(1, 2, "judging on test")
    judgement = judge(dataset, features, fused, context.bundle, config)
    evaluation, *further = judgement.evaluations

    result = context.folder / "evaluation.json"
    write_bytes(result, Judged(judgement.evaluations).to_json().encode("utf-8", "surrogatepass"))
    predictions = context.folder / "predictions.parquet"
    with replacing(predictions) as temporary:
        judgement.predictions.to_parquet(temporary, index=False)
    curves = {name: single.training.folder for name, single in singles.items() if single.training is not None}
    if fused is not None:
        curves[fused.training.name] = fused.training.folder
    evaluated = Evaluated(str(result), str(predictions), curves)

    tracking.log_metrics(at, run, metrics_of(evaluation))
    tags = _tags(evaluation, config.fusion.name, config.strategy)
    tracking.set_tags(at, run, {**tags, tracking.MODEL_TAG: model_digest(context.bundle)})
    _tell_parts(context, evaluation, fused)
    tracking.log_figures(at, run, all_figures(evaluation, read_curves(evaluated)))
    for other in further:
        prefix = re.sub(r"[^\w.-]", "_", other.target)  # MLflow takes few characters in a name
        prefixed = {f"{prefix}_{name}": value for name, value in metrics_of(other).items()}
        tracking.log_metrics(at, run, prefixed)
        drawn = {f"{prefix}_{name}": figure for name, figure in all_figures(other).items()}
        tracking.log_figures(at, run, drawn)
        for name, table in tables(other).items():
            tracking.log_table(at, run, table, f"{prefix}_{name}")
    for name, table in tables(evaluation).items():
        tracking.log_table(at, run, table, name)
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        create_table_artifact(rows, key=name, description=_captions(evaluation)[name])  # type: ignore[arg-type]
    tracking.log_file(at, run, result)
    tracking.log_file(at, run, predictions)
    progress.finish(headline(evaluation))
    return evaluated


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


def read_curves(evaluated: Evaluated) -> list[Curve]:
    """Training curves of the fits and the fusion; those of one pass are left out."""
    curves, metric = [], evaluated.read().metric
    for name, folder in evaluated.curves.items():
        history = read_history(folder)
        if len(history) > 1:
            best = best_epoch(history, metric).epoch
            losses, values = ([getattr(epoch, key) for epoch in history] for key in ("train_loss", "metric"))
            curves.append(Curve(name, tuple(losses), tuple(values), best))
    return curves


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


def _tell_parts(context: Context, evaluation: Evaluation, fused: FusedModel | None) -> None:
    """The result of each fit and of the fusion on test, in its own run, under the names of every run."""
    at, metric = context.tracking, evaluation.metric
    for candidate in evaluation.candidates[:-1]:
        part = fused.training.name if candidate.kind == "fusion" and fused is not None else candidate.name
        run = tracking.find_part(at, context.mlflow_run, part)
        if run is None:  # the average trains nothing, a frozen encoder has no fit
            continue
        interval = candidate.on_test(metric)
        values = {
            f"test_{metric}": interval.value,
            f"test_{metric}_low": interval.low,
            f"test_{metric}_high": interval.high,
        }
        tracking.log_metrics(at, run, {name: value for name, value in values.items() if math.isfinite(value)})
        if candidate.kind == "fusion":
            tracking.set_tags(at, run, {"fusion_helps": evaluation.fusion_helps})


def _captions(evaluation: Evaluation) -> dict[str, str]:
    """What stands above each table in the dashboard."""
    metric, level = evaluation.metric, f"{evaluation.confidence:.0%}"
    return {
        "results": f"{headline(evaluation)}. Chosen by validation; low and high: {level} bootstrap interval "
        f"over {evaluation.rows['test']} test rows.",
        "subsets": f"Test {metric} when a row has only these inputs, and what that costs.",
        "classes": "Each class or label on test.",
        "shares": f"What each input adds to {metric}: Shapley values over all subsets of inputs.",
    }


def _tags(evaluation: Evaluation, fusion: str, strategy: str) -> dict[str, str]:
    worst = evaluation.worst_subset
    return {
        "fusion": fusion,
        "strategy": strategy,
        "fusion_helps": evaluation.fusion_helps,
        "delivered": evaluation.chosen,
        "best_single": evaluation.best_single,
        "worst_subset": "+".join(worst.inputs) if worst else "",
        "under_optimised": "+".join(evaluation.under_optimised),
        tracking.NOTE: headline(evaluation),
    }


def _bounds(name: str, interval: Interval) -> dict[str, float]:
    return {name: round(interval.value, 4), "low": round(interval.low, 4), "high": round(interval.high, 4)}


def _shown(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
