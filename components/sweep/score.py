"""Scores of a trained fusion and of its baselines, on validation and on test."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from components.config import PipelineConfig
from components.evaluation.bootstrap import bootstrap_intervals
from components.evaluation.intervals import Interval, Stored
from components.inference.ensemble import AVERAGE, FUSION, CandidateEnsemble, Embeddings
from components.models.fusion.masking import as_vector
from components.pipeline.fuse import fused_model
from components.pipeline.package import assemble, open_split
from components.references import Dataset, Features, Single, Trained
from components.seeding import seed_of
from components.storage.atomic import replacing
from components.targets import AnyTarget, known_rows, metric

IDEAL, DELIVERED = "product rule", "delivered"
Kind = Literal["single", "average", "ideal", "fusion", "delivered"]
_VALUES = "values"


@dataclass(frozen=True)
class Score(Stored):
    """Score of one candidate.

    Attributes:
        kind: Kind of the candidate.
        val: Metric on validation rows.
        val_loss: Log loss on validation rows.
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
        scores: Score by candidate: the inputs, ``average``, ``product rule``, ``fusion``, ``delivered``.
        chosen: Candidate that is delivered for rows with all inputs.
        predictions: File with the test values and the predictions of every candidate.
    """

    scores: dict[str, Score]
    chosen: str
    predictions: str

    def read(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Read the encoded values of the test rows, and predictions (N, P) by candidate."""
        with np.load(self.predictions, allow_pickle=False) as arrays:
            predictions = {name: arrays[name] for name in arrays.files}
        return predictions.pop(_VALUES), predictions


def score(
    dataset: Dataset,
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
    trained: Trained,
    config: PipelineConfig,
    file: Path,
) -> Scored:
    """Calibrate and select on validation, as for delivery, and score all candidates on test.

    Args:
        dataset: Reference to the samples.
        features: Embeddings by input.
        singles: Unimodal models by input.
        trained: Fusion trained on these features.
        config: Pipeline configuration of the training.
        file: File for the predictions (.npz).
    """
    fused = fused_model(trained, features)
    model, validation = assemble(dataset, singles, features, fused, config)
    splits = {"val": validation, "test": open_split(dataset, "test", features, fused)}
    target, names = dataset.targets.primary, list(model.inputs)
    predictions: dict[str, dict[str, np.ndarray]] = {}
    values = {}
    for split, part in splits.items():
        embeddings, natural = part.embeddings, part.out_of_fold
        known = known_rows(part.values[target.name]).numpy()
        values[split] = part.values[target.name].numpy()[known]
        every = {
            name: model.predict(target, embeddings, names, name, fusion_natural=natural)
            for name in (*names, AVERAGE, FUSION)
        }
        every[IDEAL] = ideal(model, target, embeddings)
        every[DELIVERED] = model.predict(target, embeddings, names, fusion_natural=natural)
        predictions[split] = {name: each.numpy()[known] for name, each in every.items()}
    with replacing(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **{_VALUES: values["test"]}, **predictions["test"])  # type: ignore[arg-type]

    options, chosen = config.evaluation, target.metric
    kinds: dict[str, Kind] = {AVERAGE: "average", IDEAL: "ideal", FUSION: "fusion", DELIVERED: "delivered"}
    scores = {}
    for name in (*names, AVERAGE, IDEAL, FUSION, DELIVERED):
        val, test = predictions["val"][name], predictions["test"][name]
        seed = seed_of(config.seed, "bootstrap")
        intervals = bootstrap_intervals(
            target, values["test"], test, options.bootstrap, options.confidence, seed, (chosen,)
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
def ideal(model: CandidateEnsemble, target: AnyTarget, embeddings: Embeddings) -> Tensor:
    """Combine the inputs' calibrated posteriors by the product rule.

    This is the Bayes-optimal combination of calibrated inputs that are independent given the target
    (Kittler et al. 1998, equation 7). It has no parameters to learn: ``eta = sum_m eta_m / T_m - (n - 1) *
    eta_prior`` over the n present inputs.

    Args:
        model: Model with heads and temperatures of the single inputs.
        target: Target of the model.
        embeddings: Embeddings of N rows.

    Returns:
        (N, P) float64 on the CPU; the prior for a row without any input.
    """
    part = model.targets.slices[target.name]
    prior = model.prior[part].double().cpu()
    summed = torch.zeros(len(embeddings.present), len(prior), dtype=torch.float64)
    for column, name in enumerate(model.inputs):
        natural = model.heads[name](as_vector(embeddings.single[name])).double().cpu()[:, part]
        calibrated = natural / model.temperature(target, name, (name,))
        present = embeddings.present[:, [column]].cpu()  # (N, 1)
        summed += torch.where(present, calibrated, torch.zeros((), dtype=torch.float64))
    surplus = embeddings.present.cpu().sum(1, keepdim=True) - 1
    return target.predict(target.proper(summed - surplus * prior))
