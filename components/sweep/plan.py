"""Plan of a sweep: its pipelines, and the fusions that each can use."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.config import PipelineConfig
from components.config.load import ConfigError, as_override, configured, read_pipeline
from components.config.sweep import SweepConfig
from components.data.tasks import settle_tasks
from components.storage.digest import digest_json


@dataclass(frozen=True)
class Entry:
    """Pipeline of a sweep.

    A trial is the pipeline with overrides, so that ``braid run --set`` can repeat every trial.

    Attributes:
        path: Pipeline file.
        values: Values of the file when the sweep began.
        config: Configuration from these values.
        fusions: Names of the fusions to compare.
        skipped: Reason why a fusion is skipped, by name; only for ``fusions: all``.
    """

    path: Path
    values: dict[str, Any]
    config: PipelineConfig
    fusions: tuple[str, ...]
    skipped: dict[str, str]

    def configured(self, overrides: Sequence[str]) -> PipelineConfig:
        """Return the pipeline with overrides.

        Raises:
            ConfigError: If it is not valid.
        """
        return configured(self.values, overrides, str(self.path))


@dataclass(frozen=True)
class Trial:
    """One training of one fusion.

    Attributes:
        number: Number in its study; -1 without a study.
        fusion: Name of the fusion.
        seed: Seed of the pipeline.
        params: Options that differ from the pipeline file, by path.
    """

    number: int
    fusion: str
    seed: int
    params: dict[str, Any]

    @property
    def overrides(self) -> list[str]:
        """Options as texts for ``--set``."""
        options = {"fusion.name": self.fusion, **self.params, "seed": self.seed}
        return [as_override(option, value) for option, value in options.items()]

    @property
    def digest(self) -> str:
        """Digest of fusion, seed and options, which identifies the trial."""
        return digest_json(self.overrides)


def expand(path: Path, sweep: SweepConfig, workspace: Path) -> list[Entry]:
    """Read the pipelines of a sweep and determine the fusions that each can use.

    Args:
        path: Path of the sweep file.
        sweep: Values of the sweep file.
        workspace: Folder in which an embedded data set is written on first use.

    Raises:
        ConfigError: If a pipeline is not valid, cannot be swept, or cannot use a fusion of the sweep file.
    """
    entries = [_entry((path.parent / name).resolve(), sweep, workspace) for name in sweep.pipelines]
    names = [entry.config.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{path}: pipelines: two of them are named {name!r}; their names have to differ"
            )
    return entries


def _entry(path: Path, sweep: SweepConfig, workspace: Path) -> Entry:
    values = read_pipeline(path)
    given = configured(values, [], str(path))
    config = settle_tasks(given, workspace / "data" / given.name, path.parent)
    if config is not given:
        values = config.model_dump(mode="json", exclude_unset=True)
    if len(config.inputs) < 2:
        raise ConfigError(f"{path}: inputs: a sweep compares fusions, but there is only one input")
    if config.strategy == "joint" or config.joint_epochs:
        option = "strategy: joint" if config.strategy == "joint" else f"joint_epochs: {config.joint_epochs}"
        raise ConfigError(
            f"{path}: {option} trains encoders anew in every trial, a sweep uses cached features. "
            "Take strategy: staged and joint_epochs: 0, and tune the winner jointly afterwards"
        )
    fusions, skipped = [], {}
    for fusion in sweep.fusion_names:
        try:
            configured(
                values, Trial(-1, fusion, sweep.seeds[0], {}).overrides, f"{path} with fusion {fusion}"
            )
        except ConfigError as error:
            if sweep.fusions is not None:
                raise
            skipped[fusion] = str(error)
        else:
            fusions.append(fusion)
    return Entry(path, values, config, tuple(fusions), skipped)
