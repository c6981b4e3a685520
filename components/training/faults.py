"""Remedies for a training whose numbers or memory run out."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from components.errors import BraidError
from components.runtime.device import out_of_memory
from components.training.batches import Source

logger = logging.getLogger(__name__)

_MOST_SKIPPED = 10  # steps one after the other
_ROWS_NAMED = 5


class TrainingError(BraidError):
    """Training cannot continue."""


class MicroBatcher:
    """Runs batches in as many parts as memory needs: begins with one, and never returns to fewer.

    Args:
        most: Parts that a batch may have; None for any number. Workers that share a training have to take the
            same number, so they take one.
    """

    def __init__(self, most: int | None = None) -> None:
        self._parts, self._most = 1, most

    def run(
        self,
        gradient: Callable[[Tensor, float], float],
        positions: Tensor,
        generator: torch.Generator,
        begin: Callable[[], None],
    ) -> float:
        """Give the loss of a batch, and leave its gradient in the parameters.

        Args:
            gradient: Adds the gradient of some rows (b,) times their share of the batch, and returns their
                loss times the share.
            positions: (B,) int64, the rows.
            generator: Reset before another try, as is torch's own, so that the draws are the same.
            begin: Clears the gradients.

        Raises:
            TrainingError: If two rows do not fit into memory.
        """
        drawn, torch_drawn = generator.get_state(), torch.get_rng_state()
        while True:
            parts = positions.tensor_split(min(self._parts, max(1, len(positions) // 2)))
            begin()
            try:
                return sum(gradient(part, len(part) / len(positions)) for part in parts)
            except RuntimeError as error:
                if not out_of_memory(error) or self._most == len(parts):
                    raise
                if len(parts[0]) <= 3:  # half of them is a single row, of which no batch norm learns
                    raise TrainingError(
                        f"memory does not suffice for {len(parts[0])} rows at a time: {error}. Use smaller "
                        "inputs or a smaller encoder, or engine.device: cpu"
                    ) from error
                logger.warning("out of memory with %d rows: batches are halved", len(parts[0]))
            self._parts = 2 * len(parts)
            begin()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            generator.set_state(drawn)
            torch.set_rng_state(torch_drawn)


class NotFinite:
    """Watch over losses, gradients and outputs that are not finite.

    Attributes:
        at: Epoch, batch and step, for messages.
    """

    def __init__(self) -> None:
        self.at = ""
        self._skipped = 0  # steps one after the other

    def skips(self, norm: Tensor, learning_rate: float) -> bool:
        """True if a step is to be skipped, because the norm of its gradient is not finite.

        Raises:
            TrainingError: If too many steps are skipped one after the other.
        """
        if torch.isfinite(norm):
            self._skipped = 0
            return False
        self._skipped += 1
        logger.warning("%s: the gradient is not finite, the step is skipped", self.at)
        if self._skipped > _MOST_SKIPPED:
            raise TrainingError(
                f"{self.at}: gradients of {self._skipped} steps one after the other are not finite: "
                f"try a learning rate below {learning_rate}, or precision: fp32"
            )
        return True

    def loss(
        self, value: float, network: nn.Module, training: Source, positions: Tensor, learning_rate: float
    ) -> TrainingError:
        """Build the error of a batch whose loss is not finite; it names the rows that cause it."""
        faulty = _not_finite_alone(network, training, positions)
        rows = [training.ids[row] for row in (faulty or positions.tolist())]
        more = f" and {len(rows) - _ROWS_NAMED} more" if len(rows) > _ROWS_NAMED else ""
        whose = "the network's output is not finite for" if faulty else "of"
        named = ", ".join(map(repr, rows[:_ROWS_NAMED]))
        return TrainingError(
            f"the loss is {value} in {self.at}; {whose} the rows {named}{more}: look for extreme values in "
            f"them, or try a learning rate below {learning_rate}"
        )

    def outputs(self, epoch: int, learning_rate: float) -> TrainingError:
        """Build the error of a network whose outputs on validation are not finite."""
        return TrainingError(
            f"the network's outputs on validation are not finite after epoch {epoch}: "
            f"try a learning rate below {learning_rate}"
        )


@torch.no_grad()
def _not_finite_alone(network: nn.Module, training: Source, positions: Tensor) -> list[int]:
    """Find the rows for which the network's output, given each of them alone, is not finite."""
    network.eval()
    rows = []
    for position in positions.split(1):
        batch = training.batch(position)
        if not torch.isfinite(network(batch.inputs, batch.present)).all():
            rows += position.tolist()
    return rows
