"""From trained parts to the delivered model: calibrate, choose on validation, write the bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from components.bundle import save_bundle
from components.config.pipeline import PipelineConfig
from components.data.ingest import Dataset
from components.delivered import Delivered, Embeddings, Pattern, calibrate_and_choose
from components.encoder_weights import read_tensors
from components.fuse import class_frequencies
from components.fusion import build_fusion
from components.fusion.late import Late
from components.networks import Fused
from components.references import Features, FusedModel, Prepared, Single
from components.samples import load_embeddings, presence, read_samples, target_indices
from components.training.stack import held_out


def open_split(
    dataset: Dataset, split: str, features: Mapping[str, Features], fused: FusedModel | None
) -> tuple[Any, Embeddings, Tensor]:
    """Samples table, embeddings and class indices of one split."""
    samples = read_samples(dataset, list(features))
    samples = samples[samples["split"] == split].reset_index(drop=True)
    single = {name: load_embeddings(samples, name, feature) for name, feature in features.items()}
    fusion = single
    if fused is not None and any(fused.features[name].store != features[name].store for name in features):
        fusion = {name: load_embeddings(samples, name, feature) for name, feature in fused.features.items()}
    there = torch.from_numpy(presence(samples, list(features)))
    return (
        samples,
        Embeddings(single, fusion, there),
        torch.from_numpy(target_indices(samples, dataset.classes)),
    )


def deliver(
    dataset: Dataset,
    prepared: Mapping[str, Prepared],
    singles: Mapping[str, Single],
    features: Mapping[str, Features],
    fused: FusedModel | None,
    config: PipelineConfig,
    folder: Path,
) -> dict[Pattern, dict[str, float]]:
    """Put the candidates together, calibrate them, choose among them and write the bundle.

    Args:
        dataset: Reference to the samples.
        prepared, singles, features: By input.
        fused: The fusion; None with a single input.
        config: The whole pipeline.
        folder: Of the bundle.

    Returns:
        Validation metric of every candidate for every subset of the inputs.
    """
    outputs = len(dataset.classes)
    heads = {}
    for name, single in singles.items():
        heads[name] = nn.Linear(single.encoder.width, outputs)
        heads[name].load_state_dict(read_tensors(Path(single.head), single.prefix))
    network = None
    if fused is not None:
        widths = {name: feature.encoder.width for name, feature in fused.features.items()}
        network = Fused(build_fusion(config.fusion, widths, outputs), outputs)
        network.load_state_dict(read_tensors(Path(fused.weights), fused.prefix))
    model = Delivered(heads, network, class_frequencies(dataset)).eval()

    _, validation, targets = open_split(dataset, "val", features, fused)
    fair = fair_logits(model, validation, targets) if fused is not None and not fused.joint else {}
    scores = calibrate_and_choose(model, validation, targets.numpy(), config.evaluation.metric, fair)

    save_bundle(
        folder,
        delivered=model,
        classes=dataset.classes,
        inputs=config.inputs,
        fusion=config.fusion,
        prepared=prepared,
        single={name: single.encoder for name, single in singles.items()},
        fused={} if fused is None else {name: feature.encoder for name, feature in fused.features.items()},
        facts={"name": config.name, "seed": config.seed, "dataset": dataset.digest},
    )
    return scores


def fair_logits(model: Delivered, validation: Embeddings, targets: Tensor) -> dict[Pattern, Tensor]:
    """Logits of a staged late fusion for validation rows that its pooling did not learn from.

    Other fusions learn from training rows, so theirs are fair as they are: nothing is given.
    """
    if model.fused is None or not isinstance(model.fused.fusion, Late):
        return {}
    logits = {name: model.logits(name, validation, (name,)).detach() for name in model.inputs}
    patterns = model.patterns()
    masks = [model.mask(pattern) for pattern in patterns]
    pooled = held_out(logits, validation.present, targets, model.get_buffer("prior"), masks)
    return dict(zip(patterns, pooled, strict=True))
