"""Scores of a trained fusion and of its baselines, on validation and on test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from components.config import PipelineConfig
from components.evaluation.bootstrap import bootstrap_intervals
from components.evaluation.intervals import Interval, Stored
from components.inference.ensemble import AVERAGE, ENSEMBLE, FUSION, LATE, CandidateEnsemble, Rows
from components.pipeline.package import assemble, open_split
from components.references import Dataset, Features, FusedModel, OutOfFold, Single
from components.seeding import seed_of
from components.storage.atomic import replacing
from components.targets import AnyTarget, known_rows, metric

IDEAL, DELIVERED = "product rule", "delivered"
Kind = Literal["single", "average", "late", "ideal", "fusion", "ensemble", "delivered"]
_VALUES, _PARTS = "values", "parts"


@dataclass(frozen=True)
class Score(Stored):
    """Score of one candidate.

    Attributes:
        kind: Kind of the candidate.
        val: Metric on the rows of the choice.
        val_loss: Log loss on the rows of the choice.
        test: Metric on test rows with its bootstrap interval.
    """

    kind: Kind
    val: float
    val_loss: float
    test: Interval


@dataclass(frozen=True)
class Scored(Stored):
    """Result of :func:`score`.

    Attributes:
        scores: Score by candidate: those of the model, ``product rule`` and ``delivered``.
        chosen: Candidate that is delivered for rows with all inputs.
        predictions: File with the test values and the predictions of every candidate.
    """

    scores: dict[str, Score]
    chosen: str
    predictions: str

    def read(self) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Read values and independent parts of the test rows, and predictions (N, P) by candidate."""
        with np.load(self.predictions, allow_pickle=False) as arrays:
            predictions = {name: arrays[name] for name in arrays.files}
        return predictions.pop(_VALUES), predictions.pop(_PARTS), predictions


def score(
    dataset: Dataset,
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
    unseen: Mapping[str, OutOfFold],
    fused: FusedModel,
    fused_folds: Sequence[FusedModel],
    config: PipelineConfig,
    file: Path,
) -> Scored:
    """Calibrate and select as for delivery, and score all candidates on test.

    Args:
        dataset: Reference to the samples.
        features: Embeddings by input.
        singles: Unimodal models by input.
        unseen: The training rows out of fold, by input; empty without folds.
        fused: Fusion trained on these features.
        fused_folds: The fusion trained without each fold.
        config: Pipeline configuration of the training.
        file: File for the predictions (.npz).
    """
    model, selection = assemble(dataset, singles, features, unseen, fused, fused_folds, (), config)
    test = open_split(dataset, "test", features, fused)
    splits: dict[str, tuple[Rows, Mapping[str, Tensor]]] = {
        "val": (selection.predicted, selection.values),
        "test": (test.embeddings, test.values),
    }
    target, names = dataset.targets.primary, list(model.inputs)
    candidates = model.candidates(model.inputs)
    predictions: dict[str, dict[str, np.ndarray]] = {}
    values = {}
    parts = test.parts[known_rows(test.values[target.name]).numpy()]
    for split, (rows, encoded) in splits.items():
        known = known_rows(encoded[target.name]).numpy()
        values[split] = encoded[target.name].numpy()[known]
        every = {name: model.answer(target, rows, names, name) for name in candidates}
        every[IDEAL] = ideal(model, target, rows)
        every[DELIVERED] = model.answer(target, rows, names)
        predictions[split] = {name: each.numpy()[known] for name, each in every.items()}
    with replacing(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **{_VALUES: values["test"], _PARTS: parts}, **predictions["test"])  # type: ignore[arg-type]

    options, chosen = config.evaluation, target.metric
    kinds: dict[str, Kind] = {
        AVERAGE: "average",
        LATE: "late",
        IDEAL: "ideal",
        FUSION: "fusion",
        ENSEMBLE: "ensemble",
        DELIVERED: "delivered",
    }
    scores = {}
    for name in (*candidates, IDEAL, DELIVERED):
        val, on_test = predictions["val"][name], predictions["test"][name]
        seed = seed_of(config.seed, "bootstrap")
        intervals = bootstrap_intervals(
            target, values["test"], on_test, options.bootstrap, options.confidence, seed, (chosen,), parts
        )
        undefined = Interval(float("nan"), float("nan"), float("nan"))
        scores[name] = Score(
            kind=kinds.get(name, "single"),
            val=metric(target, chosen, values["val"], val),
            val_loss=metric(target, "log_loss", values["val"], val),
            test=intervals.get(chosen, undefined),
        )
    return Scored(scores, model.choices[target.name].candidate[model.inputs], str(file))


@torch.inference_mode()
def ideal(model: CandidateEnsemble, target: AnyTarget, rows: Rows) -> Tensor:
    """Combine the inputs' calibrated posteriors by the product rule.

    This is the Bayes-optimal combination of calibrated inputs that are independent given the target
    (Kittler et al. 1998, equation 7). It has no parameters to learn: ``eta = sum_m eta_m / T_m - (n - 1) *
    eta_prior`` over the n present inputs.

    Args:
        model: Model with heads and temperatures of the single inputs.
        target: Target of the model.
        rows: N rows.

    Returns:
        (N, P) float64 on the CPU; the prior for a row without any input.
    """
    part = model.targets.slices[target.name]
    prior = model.prior[part].double().cpu()
    summed = torch.zeros(len(rows.present), len(prior), dtype=torch.float64)
    for column, name in enumerate(model.inputs):
        natural = model.natural(target, name, rows, (name,)).double().cpu()
        calibrated = natural / model.temperature(target, name, (name,))
        present = rows.present[:, [column]].cpu()  # (N, 1)
        summed += torch.where(present, calibrated, torch.zeros((), dtype=torch.float64))
    surplus = rows.present.cpu().sum(1, keepdim=True) - 1
    return target.predict(target.proper(summed - surplus * prior))
