"""Choice of the delivered model: calibrate every candidate, combine them, take the best."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from components.config.targets import Threshold
from components.evaluation.bootstrap import paired_gain
from components.inference.ensemble import ENSEMBLE, FUSION, CandidateEnsemble, Predicted, Subset
from components.metrics.thresholds import with_thresholds
from components.targets import AnyTarget, known_rows, metric, rank
from components.targets.conformal import fit_quantile
from components.targets.target import FloatArray
from components.training.greedy import select

_RESAMPLES, _ONE_ERROR = 1000, 0.6827  # the interval of this level reaches one standard error to either side
_BAGS, _MOST_ROWS = 10, 1000  # rows of a bag
_EXACT = 3.0  # independent parts beyond the quantile that a subset needs for sets of its own


@torch.inference_mode()
def calibrate_and_choose(
    model: CandidateEnsemble,
    predicted: Predicted,
    values: Mapping[str, Tensor],
    coverage: float,
    folds: np.ndarray,
    parts: np.ndarray | None = None,
    thresholds: Mapping[str, Threshold] = MappingProxyType({}),
) -> Predicted:
    """Fit each candidate's temperature for every subset, then choose the best candidate of each.

    The metric decides where it can: candidates whose paired difference to the best is within one
    standard error (Breiman et al. 1984) are equal as far as the rows can tell, and among those the
    lowest log loss wins. On a hundred rows accuracy alone would choose by the luck of two of them.

    Args:
        model: Changed in place.
        predicted: N rows that no candidate has learned from.
        values: Values of the targets by name.
        coverage: Share of rows whose conformal set shall hold the truth.
        folds: (N,) number of the fold of each row, for which an ensemble is combined from the others.
        parts: (N,) number of the independent part of each row; None if every row is its own.
        thresholds: Options of decision thresholds by target.

    Returns:
        The rows, with the predictions of ensembles that were combined without them, and thresholds found
        without them.
    """
    folds = np.unique(folds, return_inverse=True)[1]
    cuts: dict[str, dict[str, dict[Subset, Tensor]]] = {target.name: {} for target in model.targets}
    ensembles = {
        subset: torch.zeros(len(predicted.present), model.targets.width)
        for subset in model.subsets()
        if ENSEMBLE in model.candidates(subset)
    }
    for target in model.targets:
        known = known_rows(values[target.name])
        for subset in model.subsets():
            rows = (predicted.present[:, model.mask(subset)].all(1) & known).nonzero().squeeze(1)
            if not len(rows):  # nothing to go by; the fusion has been trained for every subset
                model.choices[target.name].candidate[subset] = (
                    FUSION if model.fused is not None else subset[0]
                )
                continue
            natural = _choose_one(
                model, target, subset, predicted.take(rows), values[target.name][rows].numpy(), coverage,
                folds[rows.numpy()], None if parts is None else parts[rows.numpy()],
                int(folds.max(initial=0)) + 1, thresholds.get(target.name, "auto"), cuts[target.name],
            )  # fmt: skip
            if subset in ensembles:
                part = ensembles[subset][:, model.targets.slices[target.name]]
                part[rows] = natural.to(part.dtype)
    return replace(
        predicted,
        fused={**predicted.fused, ENSEMBLE: ensembles},
        folds=torch.from_numpy(folds),
        thresholds=cuts,
    )


def _choose_one(
    model: CandidateEnsemble,
    target: AnyTarget,
    subset: Subset,
    rows: Predicted,
    truth: np.ndarray,
    coverage: float,
    folds: np.ndarray,
    parts: np.ndarray | None,
    count: int,
    threshold: Threshold,
    cuts: dict[str, dict[Subset, Tensor]],
) -> Tensor:
    """Calibrate and choose for one subset; give the natural parameters of its ensemble, out of fold.

    Thresholds of each of ``count`` folds, from the others, are added to ``cuts``. Candidates are compared by
    these.
    """
    choice = model.choices[target.name]
    naturals: dict[str, Tensor] = {}
    predictions: dict[str, Tensor] = {}
    answers: dict[str, FloatArray] = {}  # with thresholds

    def calibrate(name: str, natural: Tensor) -> None:
        used = model.used(name, subset)
        temperature = choice.temperatures.setdefault(name, {}).setdefault(
            used, target.temperature(natural, truth)
        )
        naturals[name] = natural
        predictions[name] = target.predict(target.proper(natural / temperature))
        answers[name] = predictions[name].numpy()
        if used not in cuts.get(name, {}):
            by_fold = _thresholds(target, threshold, truth, answers[name], folds, count)
            if by_fold is None:
                return
            cuts.setdefault(name, {})[used] = torch.from_numpy(by_fold)
            choice.thresholds.setdefault(name, {})[used] = by_fold[-1].tolist()
        answers[name] = with_thresholds(answers[name], cuts[name][used].numpy()[folds])

    names = model.candidates(subset)
    for name in names:
        if name != ENSEMBLE:
            calibrate(name, model.natural(target, name, rows, subset).double())
    natural = torch.zeros(len(truth), target.width, dtype=torch.float64)
    if ENSEMBLE in names:
        for number in np.unique(folds):
            inside = torch.from_numpy(folds != number)
            members = combine(
                target, {name: each[inside] for name, each in predictions.items()}, truth[inside]
            )
            natural[~inside] = target.mix(
                [predictions[name][~inside] for name in members], list(members.values())
            )
        choice.members[subset] = combine(target, predictions, truth)
        calibrate(ENSEMBLE, natural)
    chosen = choose(target, answers, truth, parts)
    choice.candidate[subset] = chosen
    scores = _scores(target, naturals[chosen], truth, folds)
    is_exact = (rows.present == model.mask(subset)).all(1).numpy()
    parts = np.arange(len(truth)) if parts is None else parts
    has_enough = len(np.unique(parts[is_exact])) >= _EXACT / (1 - coverage)
    used = is_exact if has_enough else np.ones(len(truth), bool)
    choice.quantiles[subset] = fit_quantile(scores[used], coverage, parts[used]).tolist()
    choice.calibrated[subset] = (int(used.sum()), has_enough)
    return natural


def _thresholds(
    target: AnyTarget,
    threshold: Threshold,
    truth: np.ndarray,
    predictions: FloatArray,
    folds: np.ndarray,
    count: int,
) -> FloatArray | None:
    """Find thresholds for each fold from the other folds, and last from all rows. (F + 1, C), or None."""
    everything = (
        target.thresholds(truth, predictions) if threshold == "auto" else target.fixed_thresholds(threshold)
    )
    if everything is None:
        return None
    by_fold = np.tile(everything, (count + 1, 1))  # a fold without other rows has those of all rows
    for number in np.unique(folds) if threshold == "auto" else ():
        others = folds != number
        if others.any():
            without = target.thresholds(truth[others], predictions[others])
            assert without is not None
            by_fold[number] = without
    return by_fold


def _scores(target: AnyTarget, natural: Tensor, truth: np.ndarray, folds: np.ndarray) -> FloatArray:
    """Give the nonconformity of each row under the temperature that the other parts fit (Vovk 2015)."""
    scores = []
    for number in np.unique(folds):
        inside = folds == number
        others = inside if inside.all() else ~inside
        temperature = target.temperature(natural[others], truth[others])
        predictions = target.predict(target.proper(natural[inside] / temperature)).numpy()
        scores.append(target.nonconformity(truth[inside], predictions))
    order = np.argsort(np.concatenate([np.flatnonzero(folds == number) for number in np.unique(folds)]))
    return np.concatenate(scores)[order]


def combine(target: AnyTarget, predictions: Mapping[str, Tensor], values: np.ndarray) -> dict[str, int]:
    """Select an ensemble greedily, with replacement, by log loss, in bags of rows (Caruana et al. 2004).

    A bag is drawn from the rows with replacement. A candidate that only some rows speak for is selected in
    few bags, so that its share is small where rows are few.

    Args:
        target: What is predicted.
        predictions: Calibrated predictions (N, P) by candidate.
        values: (N, ...), all known; of no rows at all, every candidate counts once.

    Returns:
        How often each member counts; their weighted average predicts.
    """
    if not len(values):
        return dict.fromkeys(predictions, 1)
    draw, size = np.random.default_rng(0), min(len(values), _MOST_ROWS)
    members: Counter[str] = Counter()
    for _ in range(_BAGS):
        bag = draw.integers(0, len(values), size)
        drawn = {name: each[bag] for name, each in predictions.items()}
        members.update(select(predictions, partial(_loss, target, drawn, values[bag])))
    return {name: members[name] for name in predictions if name in members}


def _loss(
    target: AnyTarget, predictions: Mapping[str, Tensor], values: np.ndarray, members: Sequence[str]
) -> float:
    """Compute the log loss of the average of some candidates."""
    counts = Counter(members)
    mixed = target.mix([predictions[name] for name in counts], list(counts.values()))
    return float(target.row_losses(values, target.predict(mixed).numpy()).mean())


def choose(
    target: AnyTarget,
    predictions: Mapping[str, np.ndarray],
    values: np.ndarray,
    parts: np.ndarray | None = None,
) -> str:
    """Name the best of several predictions of the same rows; see :func:`calibrate_and_choose`.

    Args:
        target: What is predicted.
        predictions: Calibrated predictions (N, P) by candidate, with thresholds where the target has some.
        values: (N, ...), all known.
        parts: (N,) number of the independent part of each row; None if every row is its own.
    """
    losses = {
        name: metric(target, "log_loss", values, prediction) for name, prediction in predictions.items()
    }
    ranks = {
        name: rank(target.metric, metric(target, target.metric, values, prediction), losses[name])
        for name, prediction in predictions.items()
    }
    best = max(ranks, key=lambda name: ranks[name])

    def is_equal(name: str) -> bool:
        gain = paired_gain(
            target,
            values,
            predictions[best],
            predictions[name],
            target.metric,
            _RESAMPLES,
            _ONE_ERROR,
            seed=0,
            parts=parts,
        )
        return not gain.low > 0

    equals = [name for name in predictions if name == best or is_equal(name)]
    return min(equals, key=lambda name: losses[name])
