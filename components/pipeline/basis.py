"""Reasons to retrain, or to leave it: what the result of a run is made of, compared with an earlier run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import components
from components.config import PipelineConfig
from components.config.encoders import PretrainedConfig
from components.config.fusion import PluginConfig
from components.models.fusion.plugin import distribution, find_plugin
from components.references import Dataset
from components.storage.digest import digest_file, digest_files, digest_json

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "peft",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "lightgbm",
    "pillow",
    "soundfile",
    "soxr",
)
"""Packages whose versions decide the bits of a model."""
_PLACES = {"source", "roots"}  # options of `data` that say where rows are: the rows themselves are compared


@dataclass(frozen=True)
class Basis:
    """Digests of what decides the result of a retraining; machine and folders are not in it.

    Attributes:
        data: Rows that can be used, with their files, targets and splits.
        settings: Options with the seed, without names, places and the division of work among processes.
        weights: Checkpoints in local folders that encoders begin from.
        code: braid's components, and the plugin of the fusion.
        libraries: Versions of Python and of the packages of :data:`LIBRARIES`.
    """

    data: str
    settings: str
    weights: str
    code: str
    libraries: str

    def changed(self, since: Mapping[str, str]) -> list[str]:
        """Name what differs from an earlier basis, perhaps of another version of braid."""
        return [name for name, value in asdict(self).items() if since.get(name) != value]


@dataclass(frozen=True)
class NoRetraining:
    """Result of a run that has looked and found no reason to retrain.

    Attributes:
        key: Key of this run.
        mlflow_run: Id of this run.
        since: Key of the last finished run of the model.
        since_run: Id of that run.
        model: Name of the registered model.
        version: Version that the last run has made.
        decision: Decision on that version.
        reason: Why this run has ended.
    """

    key: str
    mlflow_run: str
    since: str
    since_run: str
    model: str
    version: str
    decision: str
    reason: str

    @property
    def sentence(self) -> str:
        """The reason and the last decision, for people."""
        return f"{self.reason}. That run made {self.model} version {self.version}: {self.decision}"


def basis_of(dataset: Dataset, config: PipelineConfig) -> Basis:
    """Digest what decides the result of a retraining.

    Args:
        dataset: The samples.
        config: The pipeline.
    """
    return Basis(
        data=dataset.digest,
        settings=digest_json(_deciding(config)),
        weights=digest_json(_weights(config)),
        code=digest_json([digest_files(Path(components.__file__).parent, "*.py"), _plugin(config)]),
        libraries=digest_json([sys.version.split()[0], *map(version, LIBRARIES)]),
    )


def _deciding(config: PipelineConfig) -> dict[str, Any]:
    """Options without those that cannot change a result."""
    options = config.model_dump(mode="json")
    del options["name"], options["promotion"]["model"]
    options["data"] = {name: value for name, value in options["data"].items() if name not in _PLACES}
    # With one trainer a cluster gives the bits of one process; the size of a shard decides none.
    options["engine"] = {"device": config.engine.device, "trainers": config.engine.trainers}
    return options


def _weights(config: PipelineConfig) -> dict[str, str]:
    """Digest the files of checkpoints that are folders; the hub's have a name, and packages a version."""
    named = [each for section in config.inputs.values() for each in section.encoders]
    folders = {
        each.model: Path(each.model).expanduser() for each in named if isinstance(each, PretrainedConfig)
    }
    return {
        model: digest_json([(file.name, digest_file(file)) for file in _files(folder)])
        for model, folder in folders.items()
        if folder.is_dir()
    }


def _files(folder: Path) -> Sequence[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file())


def _plugin(config: PipelineConfig) -> str:
    return distribution(find_plugin(config.fusion.plugin)) if isinstance(config.fusion, PluginConfig) else ""
