"""Linear layer that outputs natural parameters."""

from torch import Tensor, nn

from components.targets.collection import Targets


class Head(nn.Linear):
    """Head that maps vectors (B, D) to natural parameters (B, K) of all targets.

    Args:
        width: Length D of the vectors.
        targets: Targets to predict.
    """

    def __init__(self, width: int, targets: Targets) -> None:
        super().__init__(width, targets.width)
        self.targets = targets

    def forward(self, vectors: Tensor) -> Tensor:
        return self.targets.natural(super().forward(vectors))
