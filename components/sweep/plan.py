"""What a sweep comes to: its pipelines, and for each the fusions that can be tried on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.config.load import ConfigError, as_override, configured, read_pipeline
from components.config.pipeline import PipelineConfig
from components.config.sweep import SweepConfig
from components.storage.digest import digest_json


@dataclass(frozen=True)
class Entry:
    """One pipeline of a sweep.

    A trial is the pipeline with overrides, so whatever a sweep finds ``braid run --set`` repeats.

    Attributes:
        path: Pipeline file.
        values: What it held when the sweep began.
        config: The same, checked.
        fusions: Names of those that are tried.
        skipped: Why others are not, by name; only where all were asked for.
    """

    path: Path
    values: dict[str, Any]
    config: PipelineConfig
    fusions: tuple[str, ...]
    skipped: dict[str, str]

    def configured(self, overrides: Sequence[str]) -> PipelineConfig:
        """The pipeline with overrides.

        Raises:
            ConfigError: If it is not valid.
        """
        return configured(self.values, overrides, str(self.path))


@dataclass(frozen=True)
class Trial:
    """One training of one fusion.

    Attributes:
        number: In its study; -1 where it belongs to none.
        fusion: Its name.
        seed: Of the pipeline.
        params: Options that differ from the pipeline file, by path.
    """

    number: int
    fusion: str
    seed: int
    params: dict[str, Any]

    @property
    def overrides(self) -> list[str]:
        """The same as ``--set`` takes it."""
        options = {"fusion.name": self.fusion, **self.params, "seed": self.seed}
        return [as_override(option, value) for option, value in options.items()]

    @property
    def digest(self) -> str:
        """Of fusion, seed and options: what a trial is known by."""
        return digest_json(self.overrides)


def expand(path: Path, sweep: SweepConfig) -> list[Entry]:
    """Read the pipelines of a sweep and find out which fusions each can use.

    Args:
        path: The sweep file.
        sweep: What it says.

    Raises:
        ConfigError: If a pipeline is not valid, cannot be swept, or cannot use a fusion that is named.
    """
    entries = [_entry((path.parent / name).resolve(), sweep) for name in sweep.pipelines]
    names = [entry.config.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{path}: pipelines: two of them are called {name!r}; their names have to differ"
            )
    return entries


def _entry(path: Path, sweep: SweepConfig) -> Entry:
    values = read_pipeline(path)
    config = configured(values, [], str(path))
    if len(config.inputs) < 2:
        raise ConfigError(f"{path}: inputs: a sweep compares fusions, and here is one input alone")
    if config.strategy == "joint" or config.joint_epochs:
        found = "strategy: joint" if config.strategy == "joint" else f"joint_epochs: {config.joint_epochs}"
        raise ConfigError(
            f"{path}: {found} trains encoders anew in every trial, a sweep uses cached features. "
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
