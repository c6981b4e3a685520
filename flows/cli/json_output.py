"""Results as ``--json`` prints them: one JSON value each, with null for numbers that JSON has not."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.config import PipelineConfig
from components.config.presets import preset_of
from components.data.draft import Draft
from components.evaluation.results import Evaluation
from components.pipeline.basis import NoRetraining
from components.redaction import without_secrets
from components.references import Dataset
from components.retrieval.search import Hit
from flows.distill import Distilled
from flows.monitor import Monitored
from flows.reproduce import Reproduced
from flows.retrain import Outcome
from flows.score import Scored
from flows.sweep import SweepOutcome
from tasks.promote import Promotion
from tasks.tracking.champions import Moved
from tasks.tracking.listings import Models, Runs


def outcome_json(outcome: Outcome) -> str:
    return _dumped(
        {
            "run": outcome.key,
            "mlflow_run": outcome.mlflow_run,
            "retrained": True,
            "report": None if outcome.report is None else str(outcome.report),
            "missing": {missing.step: missing.reason for missing in outcome.missing},
            **_evaluation_json(outcome.evaluation),
            "further_targets": {other.target: _evaluation_json(other) for other in outcome.further},
            "retrieval": None if outcome.retrieval is None else outcome.retrieval.metrics(),
            "extracted_rows": outcome.extracted,
            "model": asdict(outcome.registered.version),
            "champion": outcome.registered.champion,
            "promotion": outcome.registered.reason,
            "undecided": outcome.registered.verdict.undecided,
            "promotion_checks": [asdict(check) for check in outcome.registered.verdict.checks],
        }
    )


def no_retraining_json(ended: NoRetraining) -> str:
    """Write why a run has ended without a retraining; the model is that of the run before it."""
    return _dumped(
        {
            "run": ended.key,
            "mlflow_run": ended.mlflow_run,
            "retrained": False,
            "reason": ended.reason,
            "since": ended.since,
            "model": {"name": ended.model, "version": ended.version, "run": ended.since_run},
            "promotion": ended.decision,
        }
    )


def promotion_json(promotion: Promotion, challenger: str = "") -> str:
    """Write a promotion; ``source`` says whether its evidence was recorded, or scored now."""
    evidence = promotion.evidence
    return _dumped(
        {
            "promoted": promotion.moved is not None,
            "moved": None if promotion.moved is None else asdict(promotion.moved),
            "source": None if evidence is None else evidence.source,
            "verdict": None if evidence is None else asdict(evidence.verdict),
        }
    )


def reproduced_json(reproduced: Reproduced) -> str:
    return _dumped(
        {
            "run": reproduced.original,
            "again": reproduced.again,
            "workspace": str(reproduced.workspace),
            "same_results": reproduced.comparison.same_results,
            "metrics_compared": reproduced.comparison.compared,
            "differences": [asdict(difference) for difference in reproduced.comparison.differences],
        }
    )


def _evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    metric = evaluation.metric
    return {
        "target": evaluation.target,
        "task": evaluation.task,
        "metric": metric,
        "rows": evaluation.rows,
        "delivered": evaluation.chosen,
        "best_single": evaluation.best_single,
        "fusion_helps": evaluation.fusion_helps,
        "test": {name: asdict(interval) for name, interval in evaluation.delivered.test.items()},
        "candidates": {
            candidate.name: {
                "val": candidate.on_validation(metric),
                "test": asdict(candidate.on_test(metric)),
            }
            for candidate in evaluation.candidates
        },
        "fusion_gain": asdict(evaluation.fusion_gain) if evaluation.fusion_gain else None,
        "answerable": evaluation.answerable,
        "fusion_gain_answerable": asdict(evaluation.answerable_gain) if evaluation.answerable_gain else None,
        "delivered_gain": asdict(evaluation.delivered_gain),
        "subsets": {"+".join(subset.inputs): subset.metric.value for subset in evaluation.subsets},
        "shapley": evaluation.shapley,
        "interactions": evaluation.interactions,
        "learners": [asdict(learner) for learner in evaluation.learners],
        "conformal": asdict(evaluation.conformal),
        "thresholds": evaluation.thresholds,
    }


def _dumped(value: Any) -> str:
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    """Replace numbers that JSON has not by null: metrics that are not defined on the rows."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sweep_json(outcome: SweepOutcome) -> str:
    return _dumped(
        {
            "run": outcome.key,
            "mlflow_run": outcome.mlflow_run,
            "trials": outcome.trials,
            "extracted_rows": outcome.extracted,
            "rankings": {ranking.pipeline: json.loads(ranking.to_json()) for ranking in outcome.rankings},
            "registered": outcome.registered,
        }
    )


def distilled_json(distilled: Distilled) -> str:
    result = distilled.result
    return _dumped(
        {
            "run": distilled.key,
            "mlflow_run": distilled.mlflow_run,
            "metric": result.metric,
            "rows": result.rows,
            "teacher": asdict(result.teacher),
            "teacher_inputs": list(result.teacher_inputs),
            "teacher_rows_answered": distilled.answered,
            "students": {
                student.name: {
                    "inputs": list(student.inputs),
                    "alone": student.alone,
                    "with_teacher": student.taught,
                    "gain": asdict(student.over_rows),
                    "gain_over_seeds": asdict(student.over_seeds) if len(student.seeds) > 1 else None,
                    "helps": student.verdict,
                    "seeds": [asdict(seed) for seed in student.seeds],
                }
                for student in result.students
            },
            "expected": {each.student: {**asdict(each), "worth": each.worth} for each in result.expectations},
            "models": {
                name: {**asdict(registered.version), "champion": registered.champion}
                for name, registered in distilled.registered.items()
            },
        }
    )


def scored_json(scored: Scored) -> str:
    job, summary = scored.job, asdict(scored.summary)
    return _dumped(
        {
            "job": job.key,
            "mlflow_run": summary.pop("run"),
            "model": {"name": job.model.name, "version": job.model.version, "run": job.model.run},
            "predictions": str(job.predictions),
            "quarantine": str(job.quarantine),
            "repeated": scored.repeated,
            "written_to_sql": scored.written,
            **summary,
        }
    )


def monitored_json(monitored: Monitored) -> str:
    drift, model = monitored.drift, monitored.model
    return _dumped(
        {
            "run": monitored.key,
            "mlflow_run": monitored.mlflow_run,
            "model": {"name": model.name, "version": model.version, "run": model.run},
            "drift": drift.drifted,
            "drifted": list(drift.parts),
            "drifted_inputs": list(drift.inputs),
            "rows": drift.rows,
            "rows_looked_at": drift.looked,
            "rows_compared": drift.usable,
            "reference_rows": drift.reference,
            "level": drift.level,
            "tests": {test.key: asdict(test) for test in drift.tests},
            "not_compared": list(drift.notes),
        }
    )


def check_json(dataset: Dataset, config: PipelineConfig, device: str) -> str:
    checked = {
        "dataset": asdict(dataset),
        "device": device,
        "preset": preset_of(config),
        "config": config.model_dump(mode="json"),
    }
    return _dumped(without_secrets(checked))


def hits_json(hits: Sequence[Hit], wanted: str) -> str:
    return _dumped([asdict(hit) for hit in hits])


def moved_json(moved: Moved) -> str:
    return _dumped(asdict(moved))


def draft_json(draft: Draft, file: Path) -> str:
    columns = {use.column: {"read_as": use.reading, "used_as": use.use or None} for use in draft.uses}
    facts = {"rows": draft.rows, "columns": columns}
    return _dumped({"file": str(file), **facts, "next": [f"braid check {file}", f"braid run {file}"]})


def listed_json(listed: Runs | Models) -> str:
    return _dumped(asdict(listed))


JSON: dict[type, Callable[..., str]] = {
    Outcome: outcome_json,
    NoRetraining: no_retraining_json,
    SweepOutcome: sweep_json,
    Distilled: distilled_json,
    Scored: scored_json,
    Monitored: monitored_json,
    Reproduced: reproduced_json,
    Promotion: promotion_json,
    Moved: moved_json,
    Draft: draft_json,
    Runs: listed_json,
    Models: listed_json,
    Dataset: check_json,
    list: hits_json,
}
