"""Concatenation: the embeddings side by side."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.models.fusion.masking import as_vector, hide_absent
from components.models.fusion.protocol import Fusion


class Concat(Fusion):
    """Normalised embeddings side by side, through hidden layers. An absent one is a learned vector.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of the fused vector (with ``layers`` = 0 it is the sum of ``widths``).
        layers: Hidden layers.
        dropout: Dropout before each hidden layer and on the result.

    Shape:
        embeddings: (B, D_m) or (B, T_m, D_m) each; present: (B, M) bool, columns in the order of
        :attr:`inputs`; result: (B, width).

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
        super().__init__()
        self.inputs = tuple(sorted(widths))
        self.norms = nn.ModuleDict({name: nn.LayerNorm(widths[name]) for name in self.inputs})
        self.missing = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(widths[name])) for name in self.inputs}
        )
        total = sum(widths.values())
        blocks: list[nn.Module] = []
        for _ in range(layers):
            blocks += [nn.Dropout(dropout), nn.Linear(total, width), nn.GELU()]
            total = width
        self.layers = nn.Sequential(*blocks, nn.Dropout(dropout))
        self.width = total

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        hidden = hide_absent(embeddings, present, self.inputs)
        parts = [
            torch.where(present[:, [column]], self.norms[name](as_vector(hidden[name])), self.missing[name])
            for column, name in enumerate(self.inputs)
        ]
        return self.layers(torch.cat(parts, dim=1))
