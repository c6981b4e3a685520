"""A pipeline made of components alone, without Prefect and MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.config.load import load_pipeline
from components.config.pipeline import PipelineConfig
from components.data.ingest import Dataset, ingest
from components.deliver import deliver
from components.encoders import needs_fit
from components.extract import extract
from components.fit import fit, probe, take_frozen
from components.fuse import fuse
from components.prepare import prepare
from components.references import Features, FusedModel, Single
from components.training.loop import BEST
from tasks.step import follow


@dataclass(frozen=True)
class Parts:
    """What the steps of a staged pipeline made.

    Attributes:
        config: The pipeline.
        dataset: Its samples.
        features: By input.
        singles: Fits by input.
        fused: The fusion.
        bundle: Folder of the delivered model.
        cache: Folder of trainings and stores.
    """

    config: PipelineConfig
    dataset: Dataset
    features: dict[str, Features]
    singles: dict[str, Single]
    fused: FusedModel
    bundle: Path
    cache: Path


def build(file: Path, overrides: Sequence[str], workspace: Path) -> Parts:
    """Take a pipeline from its manifest to the delivered model; what the workspace has is not made again.

    Args:
        file: Pipeline file of at least two inputs, strategy staged.
        overrides: ``section.option=value`` each.
        workspace: Folder with caches.
    """
    config = load_pipeline(file, overrides)
    cache = workspace / "cache"
    dataset = ingest(config, workspace / "data" / config.name, file.resolve().parent)
    prepared, features, singles = {}, {}, {}
    for name, options in config.inputs.items():
        prepared[name] = prepare(dataset, name, options, cache / "canonical", config.engine.shard_rows)
        if needs_fit(options.encoder):
            fitted = follow(fit(dataset, prepared[name], config, cache / "trainings"), lambda epoch: None)
            features[name] = extract(dataset, prepared[name], fitted.encoder, config, cache / "features")
            singles[name] = fitted
        else:
            frozen = take_frozen(prepared[name], config)
            features[name] = extract(dataset, prepared[name], frozen, config, cache / "features")
            singles[name] = probe(dataset, features[name], cache / "trainings")
    trained = follow(fuse(dataset, features, singles, config, cache / "trainings"), lambda epoch: None)
    fused = FusedModel(features, str(Path(trained.folder) / BEST), "", trained, joint=False)
    bundle = workspace / "benchmarks" / f"{config.name}-{config.fusion.name}-{config.seed}"
    deliver(dataset, prepared, singles, features, fused, config, bundle)
    return Parts(config, dataset, features, singles, fused, bundle, cache)
