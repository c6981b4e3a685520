"""Concatenation: the embeddings side by side."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.models.fusion.normed import NormedFusion


class Concat(NormedFusion):
    """Normalised embeddings side by side, through hidden layers. An absent one is a learned vector.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of the fused vector (with ``layers`` = 0 it is the sum of ``widths``).
        layers: Hidden layers.
        dropout: Dropout before each hidden layer and on the result.

    Example:
        >>> fusion = Concat({"image": 8, "text": 4}, width=16).eval()
        >>> embeddings = {"image": torch.ones(2, 8), "text": torch.ones(2, 4)}
        >>> present = torch.tensor([[True, True], [True, False]])  # the second row has no text
        >>> fused = fusion(embeddings, present)
        >>> fused.shape
        torch.Size([2, 16])
        >>> other = fusion(embeddings | {"text": torch.tensor([[1.0] * 4, [9.0] * 4])}, present)
        >>> torch.equal(fused, other)  # an absent input cannot influence the result
        True
    """

    def __init__(
        self, widths: Mapping[str, int], width: int = 128, layers: int = 1, dropout: float = 0.3
    ) -> None:
        super().__init__(widths, width if layers else sum(widths.values()))
        self.missing = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(widths[name])) for name in self.inputs}
        )
        total = sum(widths.values())
        blocks: list[nn.Module] = []
        for _ in range(layers):
            blocks += [nn.Dropout(dropout), nn.Linear(total, width), nn.GELU()]
            total = width
        self.layers = nn.Sequential(*blocks, nn.Dropout(dropout))

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        x = self.vectors(embeddings, present)
        parts = [
            torch.where(present[:, [column]], x[name], self.missing[name])
            for column, name in enumerate(self.inputs)
        ]
        return self.layers(torch.cat(parts, dim=1))
