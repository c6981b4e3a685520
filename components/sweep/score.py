"""Scores one trained fusion, and beside it what it has to beat, on validation and on test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from components.config.pipeline import PipelineConfig
from components.evaluation.bootstrap import bootstrap_intervals
from components.evaluation.intervals import Interval, Stored
from components.inference.ensemble import AVERAGE, FUSION, CandidateEnsemble, Embeddings
from components.models.fusion.masking import as_vector
from components.pipeline.package import assemble, open_split
from components.references import Dataset, Features, FusedModel, Single, Trained
from components.seeding import seed_of
from components.storage.atomic import replacing
from components.targets import AnyTarget, known_rows
from components.targets.metrics import metric
from components.training.loop import BEST

IDEAL, DELIVERED = "product rule", "delivered"
Kind = Literal["single", "average", "ideal", "fusion", "delivered"]
_VALUES = "values"


@dataclass(frozen=True)
class Score(Stored):
    """One candidate.

    Attributes:
        kind: What it is.
        val: Metric on validation rows.
        val_loss: Log loss there.
        test: Metric on test rows with its bootstrap interval.
    """

    kind: Kind
    val: float
    val_loss: float
    test: Interval


@dataclass(frozen=True)
class Scored(Stored):
    """What :func:`score` found.

    Attributes:
        scores: By candidate: the inputs, ``average``, ``product rule``, ``fusion``, ``delivered``.
        chosen: The candidate that is delivered where all inputs are there.
        predictions: File with the test values and the predictions of every candidate.
    """

    scores: dict[str, Score]
    chosen: str
    predictions: str

    def read(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Values of the test rows as the target encodes them, and predictions (N, P) by candidate."""
        with np.load(self.predictions, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        return found.pop(_VALUES), found


def score(
    dataset: Dataset,
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
    trained: Trained,
    config: PipelineConfig,
    file: Path,
) -> Scored:
    """Calibrate and choose on validation, as for delivery, and judge everything on test.

    Args:
        dataset: Reference to the samples.
        features, singles: By input.
        trained: The fusion, trained on these features.
        config: The pipeline that it was trained with.
        file: Where the predictions go (.npz).
    """
    fused = FusedModel(dict(features), str(Path(trained.folder) / BEST), "", trained, joint=False)
    model, validation = assemble(dataset, singles, features, fused, config)
    splits = {"val": validation, "test": open_split(dataset, "test", features, fused)}
    target, names = dataset.targets.primary, list(model.inputs)
    predictions: dict[str, dict[str, np.ndarray]] = {}
    values = {}
    for split, opened in splits.items():
        embeddings, natural = opened.embeddings, opened.out_of_fold
        known = known_rows(opened.values[target.name]).numpy()
        values[split] = opened.values[target.name].numpy()[known]
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
        found = bootstrap_intervals(
            target, values["test"], test, options.bootstrap, options.confidence, seed, (chosen,)
        )
        nothing = Interval(float("nan"), float("nan"), float("nan"))
        scores[name] = Score(
            kind=kinds.get(name, "single"),
            val=metric(target, chosen, values["val"], val),
            val_loss=metric(target, "log_loss", values["val"], val),
            test=found.get(chosen, nothing),
        )
    return Scored(scores, model.choices[target.name].candidate[model.inputs], str(file))


@torch.inference_mode()
def ideal(model: CandidateEnsemble, target: AnyTarget, embeddings: Embeddings) -> Tensor:
    """The product of the inputs' calibrated posteriors over the surplus priors.

    This is the Bayes-optimal combination of calibrated inputs that are independent given the target
    (Kittler et al. 1998, equation 7), and nothing in it is learned: ``eta = sum_m eta_m / T_m - (n - 1) *
    eta_prior`` over the n inputs present.

    Args:
        model: Heads and the temperatures of the single inputs.
        target: One of its targets.
        embeddings: Of N rows.

    Returns:
        (N, P) float64 on the CPU; the prior where a row has none of the inputs.
    """
    part = model.targets.slices[target.name]
    prior = model.prior[part].double().cpu()
    summed = torch.zeros(len(embeddings.present), len(prior), dtype=torch.float64)
    for column, name in enumerate(model.inputs):
        natural = model.heads[name](as_vector(embeddings.single[name])).double().cpu()[:, part]
        calibrated = natural / model.temperature(target, name, (name,))
        there = embeddings.present[:, [column]].cpu()
        summed += torch.where(there, calibrated, torch.zeros((), dtype=torch.float64))
    surplus = embeddings.present.cpu().sum(1, keepdim=True) - 1
    return target.predict(target.proper(summed - surplus * prior))
