"""Learning from targets and from a teacher."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.config.distill import ObjectiveConfig
from components.models.networks import Batch
from components.objectives.divergence import divergence
from components.objectives.objective import Objective
from components.objectives.supervised import WEIGHT, Supervised

NATURAL, EMBEDDING = "teacher.natural", "teacher.embedding"
"""Further tensors of a batch: the teacher's natural parameters (B, K) and vectors (B, E); NaN in rows
that it has no answer to."""
_SHARPNESS = 0.07  # of the softmax over a batch, as in He et al. 2020, https://arxiv.org/abs/1911.05722


class Distillation(Objective):
    """``(1 - w) supervised + w soft + feature + relational + alignment``, each of the last with its weight.

    - soft: the teacher's answers (Hinton et al. 2015, https://arxiv.org/abs/1503.02531);
    - feature: squared distance of the teacher's vector and a learned linear map of the student's, both of
      length 1 (Romero et al. 2015, https://arxiv.org/abs/1412.6550, section 2.2, with their regressor);
    - relational: distances of pairs and angles of triplets (Park et al. 2019,
      https://arxiv.org/abs/1904.05068, equations 5 to 9);
    - alignment: InfoNCE in both directions between learned maps of both vectors (van den Oord et al. 2018,
      https://arxiv.org/abs/1807.03748, equation 4).

    A row that the teacher cannot answer counts with its labels alone. Validation goes by the labels.

    Args:
        supervised: Learning from the labels.
        config: Weights and temperature.
        width: Length of the student's vector.
        teacher_width: Length of the teacher's.
    """

    def __init__(
        self, supervised: Supervised, config: ObjectiveConfig, width: int, teacher_width: int
    ) -> None:
        super().__init__()
        self.supervised, self.config, self.metric = supervised, config, supervised.metric
        self.regressor = nn.Linear(width, teacher_width) if config.feature else None
        shared = min(width, teacher_width)
        self.map = nn.Linear(width, shared) if config.alignment else None
        self.teacher_map = nn.Linear(teacher_width, shared) if config.alignment else None

    def forward(self, network: nn.Module, batch: Batch, present: Tensor) -> Tensor:
        """As of every objective; the network has ``vector`` and ``head``, the batch the teacher's answers."""
        embedding = network.vector(batch.inputs, present)  # type: ignore[operator]  # (B, D)
        natural = network.head(embedding).float()  # type: ignore[operator]  # (B, K)
        weight = self.config.soft.weight
        loss = self.supervised.loss(natural, batch.targets, batch.further.get(WEIGHT))
        taught = ~batch.further[NATURAL].isnan().any(1)  # (B,)
        if not taught.any():
            return loss
        loss = (1 - weight) * loss
        if weight:
            loss = loss + weight * self.soft(natural[taught], batch.further[NATURAL][taught])
        return loss + self.vectors(embedding.float()[taught], batch.further[EMBEDDING][taught])

    def soft(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Divergence of natural parameters (B, K), summed over the targets."""
        targets, temperature = self.supervised.targets, self.config.soft.temperature
        losses = [
            divergence(target, student[:, part], teacher[:, part], temperature).mean()
            for target in targets
            for part in [targets.slices[target.name]]
        ]
        return torch.stack(losses).sum()

    def vectors(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Give the loss of the student's vectors (B, D) against the teacher's (B, E)."""
        config, loss = self.config, student.new_zeros(())
        if self.regressor is not None:
            loss = loss + config.feature * unit_distance(self.regressor(student), teacher)
        if config.relational.distance:
            loss = loss + config.relational.distance * distance_loss(student, teacher)
        if config.relational.angle:
            loss = loss + config.relational.angle * angle_loss(student, teacher)
        if self.map is not None and self.teacher_map is not None:
            loss = loss + config.alignment * info_nce(self.map(student), self.teacher_map(teacher))
        return loss

    def evaluate(self, outputs: Tensor, values: Mapping[str, Tensor], present: Tensor) -> tuple[float, float]:
        return self.supervised.evaluate(outputs, values, present)


def unit_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of vectors (B, E) brought to length 1: 2 - 2 cos."""
    return (F.normalize(student, dim=1) - F.normalize(teacher, dim=1)).square().sum(1).mean()


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss between the pairwise distances of (B, D) and (B, E), each relative to their mean.

    0 with fewer than two rows.
    """
    if len(student) < 2:
        return student.sum() * 0
    mine, theirs = _pair_distances(student), _pair_distances(teacher)
    return F.huber_loss(mine / mine.mean().clamp(min=1e-9), theirs / theirs.mean().clamp(min=1e-9))


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss between the cosines of the angles at j of all triplets i, j, k of different rows.

    0 with fewer than three rows.
    """
    rows = len(student)
    if rows < 3:
        return student.sum() * 0
    other = ~torch.eye(rows, dtype=torch.bool, device=student.device)
    distinct = other[:, :, None] & other[:, None, :] & other[None, :, :]  # (j, i, k)
    return F.huber_loss(_cosines(student)[distinct], _cosines(teacher)[distinct])


def info_nce(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy of telling each row's partner among the rows of the batch, mean of both directions."""
    scores = F.normalize(student, dim=1) @ F.normalize(teacher, dim=1).T / _SHARPNESS  # (B, B)
    own = torch.arange(len(scores), device=scores.device)
    return 0.5 * (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own))


def _pair_distances(vectors: Tensor) -> Tensor:
    """Distances of the B (B - 1) / 2 pairs; the gradient of equal rows is 0."""
    first, second = torch.triu_indices(len(vectors), len(vectors), offset=1, device=vectors.device)
    return (vectors[first] - vectors[second]).square().sum(1).clamp(min=1e-12).sqrt()


def _cosines(vectors: Tensor) -> Tensor:
    """Cosine of the angle at j between i and k, as (j, i, k)."""
    directions = F.normalize(vectors[None, :, :] - vectors[:, None, :], dim=2)  # (j, i, D)
    return directions @ directions.transpose(1, 2)
