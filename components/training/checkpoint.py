"""Everything a training needs to go on, in one safetensors file."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from components.storage.tensors import DamagedError, load_with_metadata, save_tensors

logger = logging.getLogger(__name__)

_UNREADABLE = (DamagedError, KeyError, ValueError, TypeError)


@dataclass(frozen=True)
class Epoch:
    """Results of one pass over the training rows.

    Attributes:
        epoch: From 0.
        train_loss: Mean objective over the training rows.
        val_loss: Mean loss over the validation rows, without smoothing and weights.
        metric: The objective's metric on validation.
        learning_rate: At the end of the epoch.
        seconds: Time taken.
        alone: The same metric given one input alone, by input; empty where that is not measured.
        skipped: Steps left out because their gradient was not finite.
    """

    epoch: int
    train_loss: float
    val_loss: float
    metric: float
    learning_rate: float
    seconds: float
    alone: dict[str, float] = field(default_factory=dict)
    skipped: int = 0


@dataclass
class Progress:
    """Progress of a training after an epoch."""

    history: list[Epoch] = field(default_factory=list)
    step: int = 0

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "history": [asdict(epoch) for epoch in self.history]})

    @classmethod
    def from_json(cls, text: str) -> Progress:
        values = json.loads(text)
        return cls([Epoch(**epoch) for epoch in values["history"]], values["step"])


def save(
    path: Path,
    network: nn.Module,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    progress: Progress,
) -> None:
    """Write a checkpoint atomically."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"objective.{name}": value for name, value in objective.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    save_tensors(path, tensors, {"progress": progress.to_json()})


def load(
    path: Path,
    network: nn.Module,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
) -> Progress | None:
    """Put a checkpoint back, or give None where there is none that can be read whole."""
    try:
        tensors, metadata = load_with_metadata(path)
        progress = Progress.from_json(metadata["progress"])
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        logger.warning("%s: cannot be gone on from, training starts again: %s", path, error)
        return None
    network.load_state_dict(_below(tensors, "network."))
    objective.load_state_dict(_below(tensors, "objective."))
    if average is not None:
        average.load_state_dict(_below(tensors, "average."))
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, value in _below(tensors, "optimizer.").items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = _laid_out(value, weights[int(index)])
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return progress


def known_epochs(path: Path) -> list[Epoch]:
    """Epochs that a checkpoint has behind it; none where there is no checkpoint that can be read."""
    try:
        return Progress.from_json(load_with_metadata(path)[1]["progress"]).history
    except (FileNotFoundError, *_UNREADABLE):
        return []


def _laid_out(value: Tensor, weight: Tensor) -> Tensor:
    """A moment in the memory layout of its weight: torch's fused optimizers walk through both as they lie."""
    return torch.empty_like(weight, dtype=value.dtype).copy_(value) if value.shape == weight.shape else value


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def read_history(folder: Path | str) -> list[Epoch]:
    """Epochs of a finished training."""
    values = json.loads((Path(folder) / "done.json").read_text("utf-8"))
    return [Epoch(**epoch) for epoch in values["history"]]
