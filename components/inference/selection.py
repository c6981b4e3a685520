"""Choice of the delivered model: calibrate every candidate on validation, take the best."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from components.evaluation.bootstrap import paired_gain
from components.inference.ensemble import FUSION, CandidateEnsemble, Embeddings, Subset, take
from components.targets import AnyTarget, known_rows, metric, rank
from components.targets.conformal import fit_quantile

_RESAMPLES, _ONE_ERROR = 1000, 0.6827  # the interval of this level reaches one standard error to either side


@torch.inference_mode()
def calibrate_and_choose(
    model: CandidateEnsemble,
    validation: Embeddings,
    values: Mapping[str, Tensor],
    coverage: float,
    fusion_natural: Mapping[Subset, Tensor],
) -> None:
    """Fit each candidate's temperature for every subset, then choose the best candidate of each.

    The metric decides where it can: candidates whose paired difference to the best is within one
    standard error (Breiman et al. 1984) are equal as far as the rows can tell, and among those the
    lowest log loss wins. On a hundred rows accuracy alone would choose by the luck of two of them.

    Args:
        model: Changed in place.
        validation: Embeddings of the N validation rows.
        values: Values of the targets by name.
        coverage: Share of rows whose conformal set shall hold the truth.
        fusion_natural: Natural parameters (N, K) of the fusion by subset, made without the row itself, where
            it has learned from the rows; other subsets call the fusion.
    """
    for target in model.targets:
        known = known_rows(values[target.name])
        for subset in model.subsets():
            has = validation.present[:, model.mask(subset)].all(1) & known
            _choose_one(model, target, subset, has, validation, values[target.name], coverage, fusion_natural)


def _choose_one(
    model: CandidateEnsemble,
    target: AnyTarget,
    subset: Subset,
    has: Tensor,
    validation: Embeddings,
    values: Tensor,
    coverage: float,
    fusion_natural: Mapping[Subset, Tensor],
) -> None:
    choice, rows = model.choices[target.name], has.nonzero().squeeze(1)
    if not len(rows):  # nothing to go by; the fusion has been trained for every subset
        choice.candidate[subset] = FUSION if model.fused is not None else subset[0]
        return
    part, truth = take(validation, rows), values[rows].numpy()
    predictions: dict[str, np.ndarray] = {}
    for name in model.candidates(subset):
        natural = (
            fusion_natural[subset][rows][:, model.targets.slices[target.name]]
            if name == FUSION and subset in fusion_natural
            else model.natural(target, name, part, subset)
        ).double()
        used = (name,) if name in model.inputs else subset
        temperature = choice.temperatures.setdefault(name, {}).setdefault(
            used, target.temperature(natural, truth)
        )
        predictions[name] = target.predict(target.proper(natural / temperature)).numpy()
    chosen = choose(target, predictions, truth)
    choice.candidate[subset] = chosen
    choice.quantiles[subset] = fit_quantile(
        target.nonconformity(truth, predictions[chosen]), coverage
    ).tolist()


def choose(target: AnyTarget, predictions: Mapping[str, np.ndarray], values: np.ndarray) -> str:
    """Name the best of several predictions of the same rows; see :func:`calibrate_and_choose`.

    Args:
        target: What is predicted.
        predictions: Calibrated predictions (N, P) by candidate.
        values: (N, ...), all known.
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
        )
        return not gain.low > 0

    equals = [name for name in predictions if name == best or is_equal(name)]
    return min(equals, key=lambda name: losses[name])
