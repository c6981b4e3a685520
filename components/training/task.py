"""All that a training is made of, in one value that another process can be given."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from components.config import LoopConfig, ModalityDropout
from components.objectives import Objective
from components.runtime.deadline import Deadline
from components.training.batches import Source
from components.training.checkpoint import Epoch
from components.training.loop import train


@dataclass(frozen=True)
class Training:
    """One training; its rows are opened where it is run.

    Attributes:
        sources: Opens training and validation rows for a device.
        objective: Makes the objective, given the training rows.

    Other attributes are arguments of :func:`components.training.loop.train`.
    """

    network: nn.Module
    objective: Callable[[Source], Objective]
    sources: Callable[[torch.device], tuple[Source, Source]]
    config: LoopConfig
    seed: int
    folder: Path
    modality_dropout: ModalityDropout | None = None
    inputs: Sequence[str] = ()
    stop: int | None = None
    deadline: Deadline | None = None

    def run(self, device: torch.device) -> Iterator[Epoch]:
        """Train on a device, from the beginning or behind the last epoch that the folder knows."""
        training, validation = self.sources(device)
        yield from train(
            self.network,
            self.objective(training),
            training,
            validation,
            self.config,
            seed=self.seed,
            folder=self.folder,
            device=device,
            modality_dropout=self.modality_dropout,
            inputs=self.inputs,
            stop=self.stop,
            deadline=self.deadline,
        )
