"""Basis of losses across modalities: pairs of inputs, and evaluation by retrieval."""

from collections.abc import Mapping
from itertools import combinations, permutations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.metrics.retrieval import score_rankings
from components.models.networks import Batch
from components.objectives.objective import Objective
from components.targets import known_rows

_MOST = 2048  # validation rows that are compared, each with every other


class Pairwise(Objective):
    """A loss of two inputs, averaged over all pairs of inputs, each over the rows that have both.

    The network gives (B, M, W): a vector for each input of each row. An input that may not be looked at
    takes part in no pair.

    Args:
        target: Name of the class target whose rows of one class belong together; None: only the inputs of
            one row do.
    """

    metric = "mean_average_precision"

    def __init__(self, target: str | None = None) -> None:
        super().__init__()
        self.target = target

    def forward(self, network: nn.Module, batch: Batch, present: Tensor) -> Tensor:
        return self.loss(network(batch.inputs, present), present, batch.targets)

    def loss(self, outputs: Tensor, present: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """Loss of vectors (B, M, W); 0 where no two rows have the same two inputs."""
        losses = []
        with torch.autocast(outputs.device.type, enabled=False):  # small sums of many terms
            for one, other in combinations(range(outputs.shape[1]), 2):
                rows = present[:, one] & present[:, other]
                if rows.sum() > 1:
                    x, y = outputs[rows, one].float(), outputs[rows, other].float()
                    losses.append(self.pair(x, y, self.together(values, rows)))
        return torch.stack(losses).mean() if losses else outputs.sum() * 0

    def pair(self, x: Tensor, y: Tensor, together: Tensor) -> Tensor:
        """Loss of two inputs.

        Args:
            x, y: (B, W); row i of both is the same sample.
            together: (B, B) bool: what belongs together; its diagonal is true.
        """
        raise NotImplementedError(f"{type(self).__name__} has no pair")

    def together(self, values: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """Mark the pairs of the chosen rows (B,) that belong together: (b, b) bool."""
        same = torch.eye(int(rows.sum()), dtype=torch.bool, device=rows.device)
        if self.target is None:
            return same
        classes = values[self.target][rows]
        known = known_rows(classes)
        return same | ((classes[:, None] == classes) & known & known[:, None])

    def comparable(self, outputs: Tensor, present: Tensor) -> Tensor:
        """Vectors (N, M, W) of validation rows in the space in which cosines are taken."""
        return F.normalize(outputs, dim=-1)

    @torch.no_grad()
    def evaluate(self, outputs: Tensor, values: Mapping[str, Tensor], present: Tensor) -> tuple[float, float]:
        """Loss, and the mean average precision of finding what belongs together, both ways of every pair.

        Of more than 2048 rows, every so many take part.
        """
        chosen = torch.arange(0, len(outputs), -(-len(outputs) // _MOST))
        device = next((parameter.device for parameter in self.parameters()), outputs.device)
        outputs, present = outputs[chosen].to(device), present[chosen].to(device)
        values = {name: value[chosen].to(device) for name, value in values.items()}
        loss = float(self.loss(outputs, present, values))
        space = self.comparable(outputs, present)
        scores = []
        for one, other in permutations(range(outputs.shape[1]), 2):
            rows = present[:, one] & present[:, other]
            if rows.sum() > 1:
                similarity = (space[rows, one] @ space[rows, other].T).cpu().numpy()
                right = self.together(values, rows).cpu().numpy()
                scores.append(score_rankings(similarity, right).average_precision.mean())
        return loss, float(np.mean(scores)) if scores else float("nan")
