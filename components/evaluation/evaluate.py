"""From predictions to an Evaluation: which model was delivered, by how much it is better, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from components.evaluation import metrics
from components.evaluation.bootstrap import bootstrap_intervals, mcnemar, paired_gain
from components.evaluation.calibration import reliability, softmax
from components.evaluation.results import (
    CalibrationResult,
    CandidateKind,
    CandidateResult,
    ClassResult,
    Evaluation,
    Gain,
    Interval,
    ReliabilityBin,
    Sample,
    SubsetResult,
)
from components.evaluation.shapley import sample_shares, shapley_shares, subsets
from components.evaluation.weighted import FloatArray, IntArray, row_losses


@dataclass(frozen=True)
class CandidatePredictions:
    """Probabilities of one candidate: (N_val, C) and (N_test, C). Rows without its inputs: see with_prior."""

    kind: Literal["single", "average", "fusion"]
    inputs: tuple[str, ...]
    validation: FloatArray
    test: FloatArray


@dataclass(frozen=True)
class DeliveredPredictions:
    """The model that was chosen on validation.

    candidate: the name of the candidate it is.
    validation: calibrated probabilities (N_val, C).
    logits: test logits before temperature scaling, all inputs (N_test, C).
    temperature: what they are divided by; fitted on validation.
    subsets: calibrated test probabilities (N_test, C) for every non-empty subset of the inputs, a row without
        any input of the subset holding the prior; that of all inputs is what the model delivers.
    answering: subset → name of the candidate that answers for it, where that differs between subsets.
    """

    candidate: str
    validation: FloatArray
    logits: FloatArray
    temperature: float
    subsets: Mapping[tuple[str, ...], FloatArray]
    answering: Mapping[tuple[str, ...], str] = field(default_factory=dict)


def evaluate(
    *,
    inputs: Sequence[str],
    classes: Sequence[str],
    targets_val: IntArray,
    targets_test: IntArray,
    ids_test: Sequence[str],
    candidates: Mapping[str, CandidatePredictions],
    delivered: DeliveredPredictions,
    prior: FloatArray,
    metric: str = "accuracy",
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    worst_samples: int = 12,
) -> Evaluation:
    """Judge candidates and the delivered model on the test rows.

    Nothing is chosen here on test: the best single input, and the fusion it is compared with when there are
    several, are the best by `metric` on validation.

    Args:
        inputs: M names in the order of the pipeline file.
        classes: C names.
        targets_val, targets_test: class indices (N_val,), (N_test,).
        ids_test: the test rows' ids, N_test.
        candidates: name → predictions; at least one of kind "single".
        delivered: the chosen model; its subsets must be all 2^M − 1.
        prior: frequencies of the classes in the training rows, (C,).
        metric: one of METRICS, for choice and headline.
        resamples, confidence, seed: of the bootstrap.
        worst_samples: how many samples of highest loss to list.

    Returns:
        Evaluation, its samples without media: add them by `evaluation.with_media({id: {input: Media}})`.

    Raises:
        ValueError: a subset or a single-input candidate is missing.
        DataError, ModelError: see metrics.checked.
    """
    wanted = subsets(inputs)
    if lacking := [subset for subset in wanted if subset not in delivered.subsets]:
        raise ValueError(
            f"delivered.subsets lacks {lacking}; expected all non-empty subsets of {tuple(inputs)}"
        )
    targets, names = np.asarray(targets_test, dtype=np.int64), tuple(classes)
    final = delivered.subsets[tuple(inputs)]
    prior_rows = np.tile(np.asarray(prior, dtype=np.float64), (len(targets), 1))
    better = 1.0 if metrics.higher_is_better(metric) else -1.0

    def result(
        name: str, kind: CandidateKind, of: Sequence[str], val: FloatArray, test: FloatArray
    ) -> CandidateResult:
        validation = metrics.classification_metrics(targets_val, val, names)
        intervals = bootstrap_intervals(targets, test, names, resamples, confidence, seed)
        return CandidateResult(name, kind, tuple(of), validation, intervals)

    def gain(a: FloatArray, b: FloatArray) -> Gain:
        return paired_gain(targets, a, b, metric, resamples, confidence, seed)

    def best(kind: str) -> str | None:
        rivals = [r for r in results if r.kind == kind]
        found = max(rivals, key=lambda r: better * r.validation.get(metric, -better * np.inf), default=None)
        return found.name if found else None

    results = [result(name, c.kind, c.inputs, c.validation, c.test) for name, c in candidates.items()]
    single, fusion = best("single"), best("fusion")
    if single is None:
        raise ValueError(
            "candidates has none of kind 'single'; the gain is measured against the best of them"
        )
    results.append(result("delivered", "delivered", inputs, delivered.validation, final))

    against = candidates[single].test
    fused = candidates[fusion].test if fusion else None
    scores = {
        s: _headline(targets, delivered.subsets[s], names, metric, resamples, confidence, seed)
        for s in wanted
    }
    prior_value = metrics.metric(metric, targets, prior_rows)
    values = {frozenset(s): better * score.value for s, score in scores.items()}
    values[frozenset()] = better * prior_value
    shares = shapley_shares(values)
    everything = scores[tuple(inputs)].value

    return Evaluation(
        metric=metric,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        rows={"val": len(targets_val), "test": len(targets)},
        classes=names,
        inputs=tuple(inputs),
        candidates=tuple(results),
        best_single=single,
        fusion=fusion,
        chosen=delivered.candidate,
        fusion_gain=gain(fused, against) if fused is not None else None,
        fusion_mcnemar=mcnemar(targets, fused.argmax(1), against.argmax(1)) if fused is not None else None,
        delivered_gain=gain(final, against),
        metrics=results[-1].test,
        subsets=tuple(
            SubsetResult(s, scores[s], better * (everything - scores[s].value), delivered.answering.get(s))
            for s in wanted
        ),
        shapley={name: shares[name] for name in inputs},
        prior_value=prior_value,
        per_class=_class_results(metrics.per_class(targets, final, names)),
        confusion=tuple(map(tuple, metrics.confusion(targets, final, names).to_numpy().tolist())),
        calibration=_calibration(targets, delivered.logits, final, delivered.temperature),
        samples=_worst(targets, delivered.subsets, np.asarray(prior), inputs, names, ids_test, worst_samples),
    )


def with_prior(probabilities: ArrayLike, covered: NDArray[np.bool_], prior: ArrayLike) -> FloatArray:
    """The probabilities (N, C), rows that are not `covered` (N,) by any input replaced by the prior (C,)."""
    return np.where(covered[:, None], np.asarray(probabilities, np.float64), np.asarray(prior, np.float64))


def _headline(
    targets: IntArray,
    probabilities: FloatArray,
    classes: Sequence[str],
    metric: str,
    resamples: int,
    confidence: float,
    seed: int,
) -> Interval:
    found = bootstrap_intervals(targets, probabilities, classes, resamples, confidence, seed, (metric,))
    return found.get(metric, Interval(float("nan"), float("nan"), float("nan")))


def _class_results(table: pd.DataFrame) -> tuple[ClassResult, ...]:
    return tuple(
        ClassResult(str(row["class"]), int(row["support"]), *(float(row[c]) for c in table.columns[2:]))
        for row in table.to_dict("records")
    )


def _calibration(
    targets: IntArray, logits: FloatArray, after: FloatArray, temperature: float
) -> CalibrationResult:
    before = softmax(logits)

    def bins(probabilities: FloatArray) -> tuple[ReliabilityBin, ...]:
        rows = reliability(targets, probabilities).itertuples(index=False)
        return tuple(ReliabilityBin(float(a), float(b), int(n), float(c), float(d)) for a, b, n, c, d in rows)

    def value(name: str, probabilities: FloatArray) -> float:
        return metrics.metric(name, targets, probabilities)

    return CalibrationResult(
        temperature=float(temperature),
        error_before=value("calibration_error", before),
        error_after=value("calibration_error", after),
        log_loss_before=value("log_loss", before),
        log_loss_after=value("log_loss", after),
        before=bins(before),
        after=bins(after),
    )


def _worst(
    targets: IntArray,
    predictions: Mapping[tuple[str, ...], FloatArray],
    prior: FloatArray,
    inputs: Sequence[str],
    classes: Sequence[str],
    ids: Sequence[str],
    number: int,
) -> tuple[Sample, ...]:
    final = predictions[tuple(inputs)]
    losses = row_losses(targets, final)
    worst = np.argsort(-losses, kind="stable")[:number]
    predicted = final[worst].argmax(axis=1)
    shares = sample_shares({s: p[worst] for s, p in predictions.items()}, prior, predicted)
    return tuple(
        Sample(
            id=str(ids[row]),
            row=int(row),
            label=classes[targets[row]],
            predicted=classes[top],
            probability=float(final[row, top]),
            loss=float(losses[row]),
            shares={name: float(shares[name][place]) for name in inputs},
        )
        for place, (row, top) in enumerate(zip(worst, predicted, strict=True))
    )
