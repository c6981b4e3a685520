"""A pipeline made of components alone, without Prefect and MLflow; tests build theirs with it too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.config.pipeline import PipelineConfig
from components.data.ingest import ingest
from components.models.encoders import needs_fit
from components.pipeline.extract import extract
from components.pipeline.fit import fit, probe, take_frozen
from components.pipeline.follow import follow
from components.pipeline.fuse import fuse, joint_encoders, train_jointly
from components.pipeline.package import OpenedSplit, deliver
from components.pipeline.preprocess import prepare
from components.references import Dataset, Features, FusedModel, Prepared, Single
from components.training.loop import BEST


@dataclass(frozen=True)
class Built:
    """What the steps of a pipeline left.

    Attributes:
        config: The pipeline.
        folder: Where all of it lies.
        dataset: Its samples.
        prepared: Canonical samples by input.
        singles: Fits by input.
        features: By input.
        fused: The fusion; None with a single input.
        bundle: Folder of the delivered model.
        validation: Validation rows.
    """

    config: PipelineConfig
    folder: Path
    dataset: Dataset
    prepared: dict[str, Prepared]
    singles: dict[str, Single]
    features: dict[str, Features]
    fused: FusedModel | None
    bundle: Path
    validation: OpenedSplit


def build_pipeline(
    config: PipelineConfig, folder: Path, base: Path, data: str = "data", bundle: str = "bundle"
) -> Built:
    """All steps of a run, in the order of flows/retrain.py; what the folder has is not made again.

    Args:
        config: The pipeline.
        folder: Of caches and bundle.
        base: Folder of the pipeline file.
        data, bundle: Where samples and bundle go below ``folder``.
    """
    dataset = ingest(config, folder / data, base)
    rows, cache = config.engine.shard_rows, folder / "cache"
    trainings, stores = cache / "trainings", cache / "features"
    prepared = {
        name: prepare(dataset, name, section, cache / "canonical", rows, engine=config.engine)
        for name, section in config.inputs.items()
    }
    singles: dict[str, Single] = {}
    features: dict[str, Features] = {}
    for name, section in config.inputs.items():
        if needs_fit(section.encoder):
            singles[name] = follow(fit(dataset, prepared[name], config, trainings), lambda epoch: None)
            weights = singles[name].encoder
        else:
            weights = take_frozen(prepared[name], config)
        features[name] = extract(dataset, prepared[name], weights, config, stores)
        if not needs_fit(section.encoder):
            singles[name] = probe(dataset, features[name], trainings)
    fused = None
    if len(config.inputs) > 1 and config.strategy == "staged":
        trained = follow(fuse(dataset, features, singles, config, trainings), lambda epoch: None)
        fused = FusedModel(features, str(Path(trained.folder) / BEST), "", trained, joint=False)
    if len(config.inputs) > 1 and (config.strategy == "joint" or config.joint_epochs):
        start = fused.training if fused is not None else None
        steps = train_jointly(dataset, prepared, features, singles, config, trainings, start)
        trained = follow(steps, lambda epoch: None)
        encoders = joint_encoders(trained, prepared, config)
        joint = {
            name: extract(dataset, prepared[name], encoders[name], config, stores) for name in config.inputs
        }
        fused = FusedModel(joint, str(Path(trained.folder) / BEST), "fused.", trained, joint=True)
    place = folder / bundle
    validation = deliver(dataset, prepared, singles, features, fused, config, place)
    return Built(config, folder, dataset, prepared, singles, features, fused, place, validation)
