"""Train across modalities: projections into one space, and the encoders that they begin with."""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from components.config import PipelineConfig, PretrainedConfig
from components.config.alignment import AlignmentConfig, DCCAConfig
from components.data.samples import learning_rows, presence, rows_digest, transfer_rows
from components.errors import DataError
from components.models.code import encoder_code
from components.models.encoders import build_encoder
from components.models.networks import Joint
from components.models.projections import Aligned
from components.models.weights import open_preprocessor, read_tensors
from components.objectives import ALIGNMENTS, Auxiliary, Objective, Pairwise, Supervised, build_alignment
from components.objectives.correlation import canonical_maps
from components.pipeline.train_once import train_once
from components.references import Dataset, Features, Prepared, Trained
from components.runtime.device import choose_device
from components.seeding import seed_of
from components.storage.closure import code_digest
from components.storage.digest import digest_json
from components.storage.tensors import is_whole, load_tensors, save_tensors
from components.targets import Targets
from components.training.batches import Source, open_embedding_splits, open_sample_splits
from components.training.checkpoint import Epoch
from components.training.loop import BEST, predict

PROJECTIONS = "projections.safetensors"


def align(
    dataset: Dataset, features: Mapping[str, Features], config: PipelineConfig, cache: Path
) -> Generator[Epoch, None, Trained]:
    """Train the projections that search goes by, on cached features.

    Args:
        dataset: Reference to the samples.
        features: Embeddings by input, those that the fusion takes.
        config: The whole pipeline; it has an ``alignment``.
        cache: Folder of trainings.

    Yields:
        Epochs, also those made before an interruption or in an earlier run on the same content.

    Returns:
        The training; its folder holds the weights as :func:`open_aligned` reads them.

    Raises:
        DataError: If no training or no validation row has two inputs.
    """
    options = _options(config)
    seed = seed_of(config.seed, "alignment")
    torch.manual_seed(seed)
    network = Aligned({name: feature.encoder.width for name, feature in features.items()}, options)
    samples = paired_rows(dataset, list(features))
    key = digest_json(
        {
            "features": {name: Path(feature.store).name for name, feature in features.items()},
            "rows": rows_digest(samples, list(features)),
            "alignment": _facts(options, "training"),
            "targets": dataset.targets.to_json(),
            "seed": seed,
        }
    )

    def sources(device: torch.device) -> tuple[Source, Source]:
        return open_embedding_splits(samples, features, dataset.targets, device)

    trained = yield from train_once(
        cache,
        "alignment",
        key,
        network,
        lambda training: build_alignment(options.objective, dataset.targets),
        sources,
        options.training,
        metric_name=Pairwise.metric,
        seed=seed,
        engine=config.engine,
    )
    written = Path(trained.folder) / PROJECTIONS
    if not is_whole(written):
        if isinstance(options.objective, DCCAConfig):  # what ends a canonical correlation analysis
            device = choose_device(config.engine.device)
            training, _ = sources(device)
            outputs = predict(network.to(device), training, options.training.batch_size, "fp32", device)
            network.turn(
                *(
                    part.to(device)
                    for part in canonical_maps(
                        outputs, training.present.cpu(), options.objective.regularisation
                    )
                )
            )
        save_tensors(written, network.state_dict())
    return trained


def open_aligned(trained: Trained, features: Mapping[str, Features], config: PipelineConfig) -> Aligned:
    """The projections that :func:`align` trained."""
    network = Aligned({name: feature.encoder.width for name, feature in features.items()}, _options(config))
    network.load_state_dict(load_tensors(Path(trained.folder) / PROJECTIONS))
    return network.eval()


def pretrain(
    dataset: Dataset, prepared: Mapping[str, Prepared], config: PipelineConfig, cache: Path
) -> Generator[Epoch, None, Trained]:
    """Train encoders and projections across modalities, before any target is learned.

    Encoders from scratch learn; pretrained ones stay as they are and the others come to them (LiT, Zhai et
    al. 2022, https://arxiv.org/abs/2111.07991). See :func:`load_pretrained` for what is done with the result.

    Args:
        dataset: Reference to the samples.
        prepared: Canonical samples by input.
        config: The whole pipeline; it has an ``alignment``.
        cache: Folder of trainings.

    Yields:
        Epochs, also those made before an interruption or in an earlier run on the same content.

    Raises:
        DataError: If no training or no validation row has two inputs.
    """
    options, names = _options(config), sorted(prepared)
    seed = seed_of(config.seed, "pretraining")
    torch.manual_seed(seed)
    encoders = {
        name: build_encoder(config.inputs[name].encoder, open_preprocessor(prepared[name])) for name in names
    }
    for name in names:
        if isinstance(config.inputs[name].encoder, PretrainedConfig):
            encoders[name].requires_grad_(False)
    projections = Aligned({name: encoder.width for name, encoder in encoders.items()}, options)
    samples = paired_rows(dataset, names)
    key = digest_json(
        {
            "prepared": {name: prepared[name].fingerprint for name in names},
            "rows": rows_digest(samples, names),
            "inputs": {
                name: config.inputs[name].model_dump(mode="json", include={"encoder", "augment"})
                for name in names
            },
            "alignment": _facts(options, "training"),
            "targets": dataset.targets.to_json(),
            "seed": seed,
            "code": [encoder_code(encoders[name], config.inputs[name].encoder) for name in names],
        }
    )

    def sources(device: torch.device) -> tuple[Source, Source]:
        return open_sample_splits(samples, prepared, config.inputs, dataset.targets, device)

    return (
        yield from train_once(
            cache,
            "pretraining",
            key,
            Joint(encoders, projections),
            lambda training: build_alignment(options.objective, dataset.targets),
            sources,
            options.training,
            metric_name=Pairwise.metric,
            seed=seed,
            engine=config.engine,
        )
    )


def load_pretrained(encoders: Mapping[str, nn.Module], pretrained: Trained, config: PipelineConfig) -> None:
    """Put the weights that :func:`pretrain` found into encoders from scratch; others stay as they are."""
    for name, encoder in encoders.items():
        if not isinstance(config.inputs[name].encoder, PretrainedConfig):
            encoder.load_state_dict(read_tensors(Path(pretrained.folder) / BEST, f"encoders.{name}."))


def with_auxiliary(
    supervised: Supervised, widths: Mapping[str, int], targets: Targets, config: PipelineConfig
) -> Objective:
    """The objective of a joint training: beside the targets the alignment, where it is asked for.

    Args:
        supervised: The targets' losses.
        widths: Length of each input's embedding.
        targets: What is predicted.
        config: The whole pipeline.
    """
    options = config.alignment
    if options is None or options.use != "auxiliary":
        return supervised
    alignment = build_alignment(options.objective, targets)
    return Auxiliary(supervised, alignment, Aligned(widths, options), options.weight)


def auxiliary_facts(config: PipelineConfig) -> dict[str, Any] | None:
    """List what a joint training depends on through :func:`with_auxiliary`, for its key."""
    options = config.alignment
    return _facts(options, "weight") if options is not None and options.use == "auxiliary" else None


def paired_rows(dataset: Dataset, inputs: list[str]) -> pd.DataFrame:
    """Training and validation rows that have two inputs or more; those without a target are for training.

    Raises:
        DataError: If there are none of one of the two.
    """
    samples = pd.concat([learning_rows(dataset, inputs), transfer_rows(dataset, inputs)])
    samples = samples[presence(samples, inputs).sum(1) > 1]
    for split in ("train", "val"):
        if not (samples["split"] == split).any():
            raise DataError(
                f"alignment: no {split} row of {dataset.source} has two of {', '.join(inputs)}, so there is "
                "nothing to align. Leave alignment out, or divide the rows otherwise (data.split)."
            )
    return samples


def _options(config: PipelineConfig) -> AlignmentConfig:
    assert config.alignment is not None
    return config.alignment


def _facts(options: AlignmentConfig, *more: str) -> dict[str, Any]:
    chosen = options.model_dump(mode="json", include={"objective", "width", "hidden", *more})
    code = code_digest(Aligned, Auxiliary, ALIGNMENTS[options.objective.name], canonical_maps)
    return {**chosen, "code": code}
