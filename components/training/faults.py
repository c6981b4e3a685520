"""What a training does where numbers or memory run out."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from components.errors import BraidError
from components.runtime.device import out_of_memory
from components.training.batches import Source

logger = logging.getLogger(__name__)

_MOST_LEFT_OUT = 10  # steps one after the other
_ROWS_NAMED = 5


class TrainingError(BraidError):
    """Training cannot go on."""


class Halving:
    """Runs batches in as many parts as memory needs; begins with one, and stays with what it has found.

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
        """The loss of a batch, with its gradient in the parameters.

        Args:
            gradient: Adds the gradient of some rows times their share of the batch; gives the product.
            positions: The rows.
            generator: Set back before another try, as is torch's own.
            begin: Clears gradients.

        Raises:
            TrainingError: If two rows are too many.
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
    """What is done with losses, gradients and outputs that are not finite.

    Attributes:
        at: Where the training is, for messages.
    """

    def __init__(self) -> None:
        self.at = ""
        self._left_out = 0  # one after the other

    def leaves_out(self, norm: Tensor, learning_rate: float) -> bool:
        """Whether a step is left out, because the norm of its gradient is not finite.

        Raises:
            TrainingError: If it has been so too often, one after the other.
        """
        if torch.isfinite(norm):
            self._left_out = 0
            return False
        self._left_out += 1
        logger.warning("%s: the gradient is not finite, the step is left out", self.at)
        if self._left_out > _MOST_LEFT_OUT:
            raise TrainingError(
                f"{self.at}: gradients of {self._left_out} steps one after the other are not finite: "
                f"try a learning rate below {learning_rate}, or precision: fp32"
            )
        return True

    def loss(
        self, value: float, network: nn.Module, training: Source, positions: Tensor, learning_rate: float
    ) -> TrainingError:
        """The error of a batch with such a loss; names the rows that it comes from."""
        guilty = _not_finite_alone(network, training, positions)
        rows = [training.ids[row] for row in (guilty or positions.tolist())]
        more = f" and {len(rows) - _ROWS_NAMED} more" if len(rows) > _ROWS_NAMED else ""
        whose = "the network's answer is not finite for" if guilty else "of"
        named = ", ".join(map(repr, rows[:_ROWS_NAMED]))
        return TrainingError(
            f"the loss is {value} in {self.at}; {whose} the rows {named}{more}: look for extreme values in "
            f"them, or try a learning rate below {learning_rate}"
        )

    def outputs(self, epoch: int, learning_rate: float) -> TrainingError:
        """The error of a network whose answers on validation are not finite."""
        return TrainingError(
            f"the network's answers on validation are not finite after epoch {epoch}: "
            f"try a learning rate below {learning_rate}"
        )


@torch.no_grad()
def _not_finite_alone(network: nn.Module, training: Source, positions: Tensor) -> list[int]:
    """Those of the rows for which the network's answer, given each of them alone, is not finite."""
    network.eval()
    found = []
    for position in positions.split(1):
        batch = training.batch(position)
        if not torch.isfinite(network(batch.inputs, batch.present)).all():
            found += position.tolist()
    return found
