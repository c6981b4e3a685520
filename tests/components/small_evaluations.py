"""A small made-up model of several inputs, each a noisy view of the class, and its evaluation."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from components.evaluation.evaluate import (
    CandidatePredictions,
    DeliveredPredictions,
    evaluate,
)
from components.evaluation.results import Evaluation
from components.evaluation.shapley import subsets
from components.metrics.calibration import softmax
from components.targets.conformal import fit_quantile
from tests.components.small_targets import classes as kinds
from tests.components.small_targets import drawn_values, labels, number, ordered

NAMES = ("picture", "voice", "note", "table")


def arguments(
    inputs=3, classes=5, metric="accuracy", rows=200, seed=0, strengths=(2.5, 2.0, 1.5, 0.0)
) -> dict:
    """Arguments of evaluate(). An input shows the class in its logits at its strength, and is missing in one
    row of ten; those of several inputs add up, which is the right way to fuse them."""
    rng, names = np.random.default_rng(seed), NAMES[:inputs]
    prior = np.full(classes, 1 / classes)

    def split():
        targets = rng.permutation(np.arange(rows) % classes)
        logits = {
            name: s * (s * np.eye(classes)[targets] + rng.normal(size=(rows, classes)))
            for name, s in zip(names, strengths, strict=False)
        }
        return targets, logits, {name: rng.random(rows) > 0.1 for name in names}

    def fused(logits, present, of):
        total = sum(np.where(present[n][:, None], logits[n], 0) for n in of)
        p = np.exp(total - np.logaddexp.reduce(total, axis=1, keepdims=True))
        return np.where(np.any([present[n] for n in of], axis=0)[:, None], p, prior), total

    y_val, *val = split()
    y_test, *test = split()
    candidates = {
        name: CandidatePredictions("single", (name,), fused(*val, (name,))[0], fused(*test, (name,))[0])
        for name in names
    }
    if inputs > 1:
        mean_val, mean_test = (
            np.mean([getattr(c, of) for c in candidates.values()], axis=0) for of in ("validation", "test")
        )
        candidates["average"] = CandidatePredictions("average", names, mean_val, mean_test)
        candidates["gated"] = CandidatePredictions(
            "fusion", names, fused(*val, names)[0], fused(*test, names)[0]
        )
    return {
        "target": kinds(classes, metric),
        "inputs": names,
        "values_val": y_val,
        "values_test": y_test,
        "present_test": test[1],
        "words_test": [f"class {index}" for index in y_test],
        "ids_test": [f"row-{i}" for i in range(rows)],
        "candidates": candidates,
        "delivered": DeliveredPredictions(
            candidate="gated" if inputs > 1 else names[0],
            validation=fused(*val, names)[0],
            uncalibrated=softmax(1.5 * fused(*test, names)[1]),
            temperature=1.5,
            quantiles=np.full((rows, 1), 0.8),
            subsets={s: fused(*test, s)[0] for s in subsets(names)},
            answering={(name,): name for name in names},
        ),
        "prior": prior,
        "resamples": 200,
        "worst_samples": 4,
    }


@pytest.fixture
def make_arguments() -> Callable[..., dict]:
    return arguments


def arguments_of(task, rows=120, seed=0) -> dict:
    """Arguments of evaluate(), of two inputs and a target of another kind; predictions are as good as random
    noise on the truth allows."""
    target = {"ordinal": ordered(4), "multilabel": labels("abc"), "regression": number()}[task]
    rng, names = np.random.default_rng(seed), NAMES[:2]
    values = {split: drawn_values(target, rows, draw) for draw, split in enumerate(("val", "test"))}

    def predicted(split, noise):
        truth = values[split]
        if task == "regression":
            return np.stack([truth + rng.normal(0, noise, rows), np.full(rows, noise)], 1)
        indicators = truth if task == "multilabel" else np.eye(4)[truth]
        odds = np.exp(3 * indicators + rng.normal(0, noise, indicators.shape))
        return odds / (1 + odds) if task == "multilabel" else odds / odds.sum(1, keepdims=True)

    made = {
        of: {split: predicted(split, noise) for split in values}
        for of, noise in ((("picture",), 3.0), (("voice",), 2.5), (names, 1.5))
    }
    both = made[names]
    candidates = {
        of[0]: CandidatePredictions("single", of, p["val"], p["test"])
        for of, p in made.items()
        if of != names
    }
    candidates["gated"] = CandidatePredictions("fusion", names, both["val"], both["test"])
    prior = target.predict(target.prior(values["val"]).double().unsqueeze(0))[0].numpy()
    quantile = fit_quantile(target.nonconformity(values["val"], both["val"]), 0.9)
    return {
        "target": target,
        "inputs": names,
        "values_val": values["val"],
        "values_test": values["test"],
        "present_test": {name: np.ones(rows, bool) for name in names},
        "ids_test": [f"row-{i}" for i in range(rows)],
        "words_test": [str(value) for value in values["test"]],
        "candidates": candidates,
        "delivered": DeliveredPredictions(
            candidate="gated",
            validation=both["val"],
            uncalibrated=both["test"],
            temperature=1.2,
            subsets={s: made[s]["test"] for s in subsets(names)},
            quantiles=np.tile(quantile, (rows, 1)),
        ),
        "prior": prior,
        "resamples": 100,
        "worst_samples": 3,
    }


@pytest.fixture
def make_arguments_of() -> Callable[[str], dict]:
    return arguments_of


@pytest.fixture(scope="session")
def make_evaluation_of() -> Callable[[str], Evaluation]:
    return cache(lambda task: evaluate(**arguments_of(task)))


@pytest.fixture(scope="session")
def make_evaluation() -> Callable[..., Evaluation]:
    def make(metric="accuracy", **options):
        return evaluate(**arguments(metric=metric, **options))

    return make
