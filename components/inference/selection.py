"""The choice of the model that is delivered: calibrate every candidate on validation, take the best."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from components.evaluation.bootstrap import paired_gain
from components.inference.ensemble import FUSION, Delivered, Embeddings, Pattern, take
from components.targets import AnyTarget, known_rows
from components.targets.conformal import fit_quantile
from components.targets.metrics import metric, rank

_RESAMPLES, _ONE_ERROR = 1000, 0.6827  # the interval of this level reaches one standard error to either side


@torch.inference_mode()
def calibrate_and_choose(
    model: Delivered,
    validation: Embeddings,
    values: Mapping[str, Tensor],
    coverage: float,
    fusion_natural: Mapping[Pattern, Tensor],
) -> None:
    """Fit each candidate's temperature for every pattern, then choose the best candidate of each.

    The metric decides where it can: candidates whose paired difference to the best is within one
    standard error (Breiman et al. 1984) are equal as far as the rows can tell, and among those the
    lowest log loss wins. On a hundred rows accuracy alone would choose by the luck of two of them.

    Args:
        model: Changed in place.
        validation: Embeddings of the N validation rows.
        values: Of their targets, by name.
        coverage: How often conformal sets shall hold the truth.
        fusion_natural: (N, K) of the fusion by pattern where the rows have taught it
            something, made without the row itself; for other patterns the fusion is asked.
    """
    for target in model.targets:
        known = known_rows(values[target.name])
        for pattern in model.patterns():
            has = validation.present[:, model.mask(pattern)].all(1) & known
            _choose_one(
                model, target, pattern, has, validation, values[target.name], coverage, fusion_natural
            )


def _choose_one(
    model: Delivered,
    target: AnyTarget,
    pattern: Pattern,
    has: Tensor,
    validation: Embeddings,
    values: Tensor,
    coverage: float,
    fusion_natural: Mapping[Pattern, Tensor],
) -> None:
    choice, rows = model.choices[target.name], has.nonzero().squeeze(1)
    if not len(rows):  # nothing to go by; the fusion has been trained for every subset
        choice.candidate[pattern] = FUSION if model.fused is not None else pattern[0]
        return
    part, truth = take(validation, rows), values[rows].numpy()
    answers: dict[str, np.ndarray] = {}
    for name in model.candidates(pattern):
        natural = (
            fusion_natural[pattern][rows][:, model.targets.slices[target.name]]
            if name == FUSION and pattern in fusion_natural
            else model.natural(target, name, part, pattern)
        ).double()
        used = (name,) if name in model.inputs else pattern
        temperature = choice.temperatures.setdefault(name, {}).setdefault(
            used, target.temperature(natural, truth)
        )
        answers[name] = target.predict(target.proper(natural / temperature)).numpy()
    chosen = choose(target, answers, truth)
    choice.candidate[pattern] = chosen
    choice.quantiles[pattern] = fit_quantile(target.nonconformity(truth, answers[chosen]), coverage).tolist()


def choose(target: AnyTarget, answers: Mapping[str, np.ndarray], values: np.ndarray) -> str:
    """Name of the best of several predictions of the same rows; see :func:`calibrate_and_choose`.

    Args:
        target: What is predicted.
        answers: Calibrated predictions (N, P) by candidate.
        values: (N, ...), all known.
    """
    losses = {name: metric(target, "log_loss", values, answer) for name, answer in answers.items()}
    ranks = {
        name: rank(target.metric, metric(target, target.metric, values, answer), losses[name])
        for name, answer in answers.items()
    }
    best = max(ranks, key=lambda name: ranks[name])

    def is_equal(name: str) -> bool:
        gain = paired_gain(
            target, values, answers[best], answers[name], target.metric, _RESAMPLES, _ONE_ERROR, seed=0
        )
        return not gain.low > 0

    equals = [name for name in answers if name == best or is_equal(name)]
    return min(equals, key=lambda name: losses[name])
