"""Learning from targets and across modalities at once."""

from collections.abc import Mapping

from torch import Tensor, nn

from components.models.networks import Batch
from components.objectives.objective import Objective
from components.objectives.pairwise import Pairwise
from components.objectives.supervised import WEIGHT, Supervised


class Auxiliary(Objective):
    """``supervised + weight × alignment`` of encoders that are trained with the fusion.

    The alignment is of the projected embeddings that the fusion takes; the projections are trained here,
    with the network, and are of no use afterwards.

    Args:
        supervised: Decides when training stops.
        alignment: Objective on the outputs of ``projections``.
        projections: A :class:`components.models.projections.Aligned` over the network's embeddings.
        weight: Weight of the alignment.
    """

    def __init__(
        self, supervised: Supervised, alignment: Pairwise, projections: nn.Module, weight: float
    ) -> None:
        super().__init__()
        self.supervised, self.alignment, self.projections = supervised, alignment, projections
        self.weight = weight
        self.metric = supervised.metric

    def forward(self, network: nn.Module, batch: Batch, present: Tensor) -> Tensor:
        """``network`` is a :class:`components.models.networks.Joint`."""
        embeddings = network.embed(batch.inputs, present)  # type: ignore[operator]  # a Module may have any
        natural = network.fused(embeddings, present).float()  # type: ignore[operator]
        supervised = self.supervised.loss(natural, batch.targets, batch.further.get(WEIGHT))
        outputs = self.projections(embeddings, present)
        return supervised + self.weight * self.alignment.loss(outputs, present, batch.targets)

    def evaluate(self, outputs: Tensor, values: Mapping[str, Tensor], present: Tensor) -> tuple[float, float]:
        return self.supervised.evaluate(outputs, values, present)
