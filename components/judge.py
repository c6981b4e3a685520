"""Judges the delivered model on the test rows, which nothing before has looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from components.bundle import load_bundle
from components.config.pipeline import PipelineConfig
from components.data.ingest import Dataset
from components.deliver import fair_logits, open_split
from components.delivered import AVERAGE, FUSION
from components.evaluation.evaluate import CandidatePredictions, DeliveredPredictions, evaluate
from components.evaluation.media import Media, media_of
from components.evaluation.results import Evaluation
from components.evaluation.shapley import subsets
from components.references import Features, FusedModel
from components.samples import input_value, read_samples
from components.training.resumable import seed_of


@dataclass(frozen=True)
class Judgement:
    """An evaluation and the predictions that it rests on.

    Attributes:
        evaluation: Everything that the report shows.
        predictions: One row a test sample: id, target, label, probability of each class.
    """

    evaluation: Evaluation
    predictions: pd.DataFrame


def judge(
    dataset: Dataset,
    features: Mapping[str, Features],
    fused: FusedModel | None,
    bundle: Path,
    config: PipelineConfig,
) -> Judgement:
    """Evaluate every candidate and the delivered model on test.

    Args:
        dataset: Reference to the samples.
        features: Embeddings by input.
        fused: The fusion; None with a single input.
        bundle: The delivered model.
        config: The whole pipeline.
    """
    names = list(config.inputs)
    model = load_bundle(bundle).delivered
    _, val, val_targets = open_split(dataset, "val", features, fused)
    samples, test, test_targets = open_split(dataset, "test", features, fused)
    fair = fair_logits(model, val, val_targets) if fused is not None and not fused.joint else {}

    def predictions(kind: str, inputs: tuple[str, ...], candidate: str) -> CandidatePredictions:
        return CandidatePredictions(
            kind=kind,  # type: ignore[arg-type]  # one of its three words
            inputs=inputs,
            validation=model.predict(val, names, candidate, fusion_logits=fair).numpy(),
            test=model.predict(test, names, candidate).numpy(),
        )

    candidates = {name: predictions("single", (name,), name) for name in names}
    if model.fused is not None:
        candidates[AVERAGE] = predictions("average", tuple(names), AVERAGE)
        candidates[FUSION] = predictions("fusion", tuple(names), FUSION)

    chosen = model.choice[model.inputs]
    by_subset = {subset: model.predict(test, subset).numpy() for subset in subsets(names)}
    delivered = DeliveredPredictions(
        candidate=chosen,
        validation=model.predict(val, names, fusion_logits=fair).numpy(),
        logits=np.log(np.clip(model.predict(test, names, calibrated=False).numpy(), 1e-300, None)),
        temperature=model.temperature(chosen, model.inputs),
        subsets=by_subset,
        answering={subset: model.choice[tuple(sorted(subset))] for subset in by_subset},
    )
    evaluation = evaluate(
        inputs=names,
        classes=dataset.classes,
        targets_val=val_targets.numpy(),
        targets_test=test_targets.numpy(),
        ids_test=samples["id"].tolist(),
        candidates=candidates,
        delivered=delivered,
        prior=model.prior.double().numpy(),
        metric=config.evaluation.metric,
        resamples=config.evaluation.bootstrap,
        confidence=config.evaluation.confidence,
        seed=seed_of(config.seed, "bootstrap"),
        worst_samples=config.evaluation.worst_samples,
    )
    final = by_subset[tuple(names)]
    table = pd.DataFrame(
        {
            "id": samples["id"],
            "target": samples["target"],
            "label": np.array(dataset.classes, dtype=object)[final.argmax(1)],
            **{f"probability_{name}": final[:, column] for column, name in enumerate(dataset.classes)},
        }
    )
    return Judgement(evaluation.with_media(_media(dataset, evaluation, config)), table)


def _media(dataset: Dataset, evaluation: Evaluation, config: PipelineConfig) -> dict[str, dict[str, Media]]:
    """What the shown samples look like, by id and input."""
    samples = read_samples(dataset, list(config.inputs), values=True)
    wanted = samples[samples["id"].isin([sample.id for sample in evaluation.samples])]
    return {
        row["id"]: {
            name: media_of(options.modality, input_value(row, name, options.modality))  # type: ignore[arg-type]
            for name, options in config.inputs.items()
            if not pd.isna(row[f"{name}.digest"])
        }
        for row in wanted.to_dict("records")
    }
