"""Evaluation of predictions on the test rows: metrics, gains, subsets of inputs, worst samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.evaluation.bootstrap import bootstrap_intervals, mcnemar, mean_share, paired_gain
from components.evaluation.calibration import (
    CalibrationResult,
    ConformalResult,
    ReliabilityBin,
    SubsetCoverage,
)
from components.evaluation.over_time import over_time
from components.evaluation.replicates import Parts
from components.evaluation.results import (
    UNDEFINED,
    BalanceResult,
    CandidateKind,
    CandidateResult,
    ClassResult,
    Evaluation,
    Gain,
    Interval,
    SubsetResult,
)
from components.evaluation.samples import Sample
from components.evaluation.shapley import interactions, leaning_shares, shapley_shares, subsets
from components.metrics.calibration import label_reliability, quantile_reliability, reliability
from components.targets import AnyTarget, Classification, FloatArray, Multilabel, Regression, metrics
from components.targets.conformal import abstains, covered, sizes


@dataclass(frozen=True)
class CandidatePredictions:
    """Predictions of one candidate, (N_val, P) and (N_test, P); rows without its inputs hold the prior."""

    kind: Literal["single", "average", "late", "trees", "fusion", "ensemble"]
    inputs: tuple[str, ...]
    validation: FloatArray
    test: FloatArray


@dataclass(frozen=True)
class DeliveredPredictions:
    """Predictions of the model that was selected on validation.

    Attributes:
        candidate: Name of the selected candidate.
        validation: (N_val, P) calibrated predictions.
        uncalibrated: (N_test, P) test predictions from all inputs before temperature scaling.
        temperature: Temperature for rows with all inputs, fitted on validation.
        subsets: (N_test, P) calibrated test predictions per non-empty subset of the inputs. A row without
            any input of the subset holds the prior; the subset of all inputs is what the model delivers.
        answering: Name of the candidate that predicts for a subset, if it differs between subsets.
        quantiles: (N_test, Q) quantiles of conformal prediction.
        having: Inputs that each test row has.
        calibrated: Rows that a subset's quantiles come from: how many, and whether they have just its inputs.
        thresholds: Decision thresholds (C,) by subset; empty where the target has none.
    """

    candidate: str
    validation: FloatArray
    uncalibrated: FloatArray
    temperature: float
    subsets: Mapping[tuple[str, ...], FloatArray]
    quantiles: FloatArray
    answering: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    having: Sequence[tuple[str, ...]] = ()
    calibrated: Mapping[tuple[str, ...], tuple[int, bool]] = field(default_factory=dict)
    thresholds: Mapping[tuple[str, ...], Sequence[float]] = field(default_factory=dict)


def evaluate(
    *,
    target: AnyTarget,
    inputs: Sequence[str],
    values_val: np.ndarray,
    values_test: np.ndarray,
    present_test: Mapping[str, NDArray[np.bool_]],
    parts_test: Parts | None = None,
    ids_test: Sequence[str],
    words_test: Sequence[str],
    candidates: Mapping[str, CandidatePredictions],
    delivered: DeliveredPredictions,
    prior: FloatArray,
    balance: Mapping[str, BalanceResult] | None = None,
    warn_below: float = 0.8,
    coverage: float = 0.9,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    worst_samples: int = 12,
    times_test: NDArray[np.datetime64] | None = None,
) -> Evaluation:
    """Evaluate candidates and the delivered model on the test rows.

    Nothing is selected on test: the best single input, and the fusion that is compared with it, are the best
    by the target's metric on validation.

    Args:
        target: Target of the predictions, with the metric of selection.
        inputs: M names in the order of the pipeline file.
        values_val: (N_val, ...) encoded values, all known.
        values_test: (N_test, ...) encoded values, all known.
        present_test: (N_test,) by input, marks the rows that have it.
        parts_test: (N_test,) number of the independent part of each row; None if every row is its own.
        ids_test: (N_test,) ids.
        words_test: (N_test,) cells of the target in the manifest.
        candidates: Predictions by candidate, at least one of kind "single".
        delivered: Predictions of the selected model, with all 2^M − 1 subsets.
        prior: (P,) prediction without any input.
        balance: Performance of each input alone inside the fusion.
        warn_below: Ratio below which an input counts as under-optimised.
        coverage: Probability that conformal sets hold the truth.
        confidence: Level of the intervals.
        worst_samples: Number of samples with the highest loss to list.
        times_test: (N_test,) times of the rows; None where they have none.

    Returns:
        Evaluation whose samples have no media: add it by `evaluation.with_media({id: {input: Media}})`.

    Raises:
        ValueError: If a subset or a single-input candidate is missing.
        DataError, ModelError: See :mod:`components.metrics.checks`.
    """
    # Every subset is needed, as Shapley shares are exact sums over all of them.
    wanted = subsets(inputs)
    if lacking := [subset for subset in wanted if subset not in delivered.subsets]:
        raise ValueError(
            f"delivered.subsets lacks {lacking}; expected all non-empty subsets of {tuple(inputs)}"
        )
    metric = target.metric
    final = delivered.subsets[tuple(inputs)]
    prior_rows = np.tile(np.asarray(prior, dtype=np.float64), (len(values_test), 1))
    better = 1.0 if metrics.higher_is_better(metric) else -1.0

    def result(
        name: str, kind: CandidateKind, of: Sequence[str], val: FloatArray, test: FloatArray
    ) -> CandidateResult:
        validation = metrics.all_metrics(target, values_val, val)
        intervals = bootstrap_intervals(
            target, values_test, test, resamples, confidence, seed, parts=parts_test
        )
        return CandidateResult(name, kind, tuple(of), validation, intervals)

    def gain(a: FloatArray, b: FloatArray, rows: NDArray[np.bool_] | None = None) -> Gain:
        index = np.arange(len(values_test)) if rows is None else np.flatnonzero(rows)
        return paired_gain(
            target,
            values_test[index],
            a[index],
            b[index],
            metric,
            resamples,
            confidence,
            seed,
            None if parts_test is None else parts_test[index],
        )

    def best(kind: str) -> str | None:
        rivals = [r for r in results if r.kind == kind]
        winner = max(rivals, key=lambda r: better * r.validation.get(metric, -better * np.inf), default=None)
        return winner.name if winner else None

    # Selection uses validation only, so that test metrics stay unbiased.
    results = [result(name, c.kind, c.inputs, c.validation, c.test) for name, c in candidates.items()]
    single, fusion = best("single"), best("fusion")
    if single is None:
        raise ValueError(
            "candidates has none of kind 'single'; the gain is measured against the best of them"
        )
    results.append(result("delivered", "delivered", inputs, delivered.validation, final))

    # Signs are such that larger is better, also for losses.
    against = candidates[single].test
    answerable = present_test[single]  # (N_test,)
    fused = candidates[fusion].test if fusion else None
    scores = {
        s: _headline(target, values_test, delivered.subsets[s], resamples, confidence, seed, parts_test)
        for s in wanted
    }
    prior_value = metrics.metric(target, metric, values_test, prior_rows)
    values = {frozenset(s): better * score.value for s, score in scores.items()}
    values[frozenset()] = better * prior_value
    shares = shapley_shares(values)
    pairs = interactions(values)
    everything = scores[tuple(inputs)].value

    return Evaluation(
        target=target.name,
        task=target.task,
        metric=metric,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        rows={"val": len(values_val), "test": len(values_test)},
        classes=() if isinstance(target, Regression) else target.classes,
        inputs=tuple(inputs),
        candidates=tuple(results),
        best_single=single,
        fusion=fusion,
        chosen=delivered.candidate,
        fusion_gain=gain(fused, against) if fused is not None else None,
        fusion_mcnemar=mcnemar(values_test, target.decide(fused), target.decide(against))
        if fused is not None and isinstance(target, Classification)
        else None,
        delivered_gain=gain(final, against),
        answerable=int(answerable.sum()),
        answerable_gain=gain(fused, against, answerable) if fused is not None and answerable.any() else None,
        subsets=tuple(
            SubsetResult(s, scores[s], better * (everything - scores[s].value), delivered.answering.get(s))
            for s in wanted
        ),
        shapley={name: shares[name] for name in inputs},
        interactions={f"{a} × {b}": value for (a, b), value in pairs.items()},
        prior_value=prior_value,
        per_class=()
        if isinstance(target, Regression)
        else _class_results(metrics.per_class(target, values_test, final)),
        confusion=tuple(map(tuple, metrics.confusion(target, values_test, final).to_numpy().tolist()))
        if isinstance(target, Classification)
        else (),
        scatter=tuple(zip(values_test.tolist(), final[:, 0].tolist(), strict=True))
        if isinstance(target, Regression)
        else (),
        balance=dict(balance or {}),
        warn_below=warn_below,
        calibration=_calibration(
            target,
            values_test,
            delivered.uncalibrated,
            target.without_thresholds(final),
            delivered.temperature,
        ),
        conformal=_conformal(target, values_test, final, delivered, coverage, confidence, parts_test),
        samples=_worst(
            target,
            values_test,
            delivered.subsets,
            np.asarray(prior),
            inputs,
            ids_test,
            words_test,
            worst_samples,
        ),
        thresholds={}
        if isinstance(target, Regression)
        else {
            " + ".join(subset): dict(zip(target.classes, map(float, values), strict=True))
            for subset, values in delivered.thresholds.items()
        },
        over_time=over_time(
            times_test,
            lambda rows: _headline(
                target,
                values_test[rows],
                final[rows],
                resamples,
                confidence,
                seed,
                None if parts_test is None else parts_test[rows],
            ),
        ),
    )


def _headline(
    target: AnyTarget,
    values: np.ndarray,
    predictions: FloatArray,
    resamples: int,
    confidence: float,
    seed: int,
    parts: Parts | None,
) -> Interval:
    names = (target.metric,)
    intervals = bootstrap_intervals(target, values, predictions, resamples, confidence, seed, names, parts)
    return intervals.get(target.metric, UNDEFINED)


def _class_results(table: pd.DataFrame) -> tuple[ClassResult, ...]:
    return tuple(
        ClassResult(str(row["class"]), int(row["support"]), *(float(row[c]) for c in table.columns[2:]))
        for row in table.to_dict("records")
    )


def _calibration(
    target: AnyTarget, values: np.ndarray, before: FloatArray, after: FloatArray, temperature: float
) -> CalibrationResult:
    def bins(predictions: FloatArray) -> tuple[ReliabilityBin, ...]:
        match target:
            case Regression():
                scores = target.nonconformity(values, predictions)  # errors in deviations
                table = quantile_reliability(scores, np.zeros_like(scores), np.ones_like(scores))
            case Multilabel():
                table = label_reliability(values, predictions)
            case _:
                table = reliability(values, predictions)
        rows = table.itertuples(index=False)
        return tuple(ReliabilityBin(float(a), float(b), int(n), float(c), float(d)) for a, b, n, c, d in rows)

    def value(name: str, predictions: FloatArray) -> float:
        return metrics.metric(target, name, values, predictions)

    return CalibrationResult(
        temperature=float(temperature),
        error_before=value("calibration_error", before),
        error_after=value("calibration_error", after),
        log_loss_before=value("log_loss", before),
        log_loss_after=value("log_loss", after),
        before=bins(before),
        after=bins(after),
    )


def _conformal(
    target: AnyTarget,
    values: np.ndarray,
    predictions: FloatArray,
    delivered: DeliveredPredictions,
    coverage: float,
    confidence: float,
    parts: Parts | None,
) -> ConformalResult:
    """Compute coverage on test with its interval, and the sets' size."""
    quantiles = delivered.quantiles
    inside = covered(target, values, predictions, quantiles)
    held = sizes(target, predictions, quantiles)
    subsets = []
    for subset, calibrated in delivered.calibrated.items():
        mine = np.array([having == subset for having in delivered.having], dtype=bool)
        if mine.any():
            share = mean_share(inside[mine], None if parts is None else parts[mine], confidence)
            subsets.append(SubsetCoverage(subset, int(mine.sum()), share, *calibrated))
    finite = held[np.isfinite(held)]
    return ConformalResult(
        promised=coverage,
        coverage=mean_share(inside, parts, confidence),
        size=float(finite.mean()) if len(finite) else float("nan"),
        abstained=float(abstains(target, predictions, quantiles).mean()),
        subsets=tuple(subsets),
    )


def _worst(
    target: AnyTarget,
    values: np.ndarray,
    predictions: Mapping[tuple[str, ...], FloatArray],
    prior: FloatArray,
    inputs: Sequence[str],
    ids: Sequence[str],
    words: Sequence[str],
    number: int,
) -> tuple[Sample, ...]:
    final = predictions[tuple(inputs)]
    losses = target.row_losses(values, final)
    worst = np.argsort(-losses, kind="stable")[:number]
    answers = final[worst]
    shares = leaning_shares(target, {subset: p[worst] for subset, p in predictions.items()}, prior)
    predicted, confidence = target.labels(answers), target.confidence(answers)
    return tuple(
        Sample(
            id=str(ids[row]),
            row=int(row),
            label=str(words[row]),
            predicted=predicted[rank],
            probability=float(confidence[rank]),
            loss=float(losses[row]),
            shares={name: float(shares[name][rank]) for name in inputs},
        )
        for rank, row in enumerate(worst)
    )
