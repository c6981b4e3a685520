"""Several encoders of one input that were fitted apart, as one encoder."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.models.encoders.protocol import Encoder
from components.models.fusion.masking import as_vector
from components.preprocess.composite import part_of_batch
from components.targets import Head, Targets


class Composite(Encoder):
    """Embeddings of all parts side by side, and behind them what their heads predict together.

    The prediction is ``eta = sum_k s_k * eta_k`` over the natural parameters ``eta_k`` of the parts' own
    heads: a log-linear pool (Heskes 1998). Its outputs are the last K values of the embedding. So a linear
    head that passes these on predicts just that, and a fusion sees them beside the embeddings.

    Args:
        parts: Encoders with embeddings (B, D_k), or (B, T, D_k), which are averaged.
        targets: What the heads predict, with K natural parameters.
        shared: True where all parts take the same batch.

    Attributes:
        scale: (parts, K): share of a part over its temperature, for each natural parameter.
    """

    def __init__(self, parts: Sequence[Encoder], targets: Targets, shared: bool) -> None:
        super().__init__(0)
        self.parts = nn.ModuleList(parts)
        self.heads = nn.ModuleList()
        self.targets = targets
        if all(part.width for part in parts):  # else the state tells the width of a fit without gradient
            self._set_widths([part.width for part in parts])
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(len(parts), targets.width))
        self.shared = shared

    @property
    def encoders(self) -> list[Encoder]:
        """The parts in their order."""
        return [part for part in self.parts if isinstance(part, Encoder)]

    @property
    def quantities(self) -> tuple[int, ...]:
        starts = np.cumsum([0, *(part.width for part in self.encoders)]).tolist()
        return tuple(
            start + column
            for start, part in zip(starts, self.encoders, strict=False)
            for column in part.quantities
        )

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, D_1 + ... + K) from what the composite's preprocessor collates."""
        batches = [batch if self.shared else part_of_batch(batch, k) for k in range(len(self.parts))]
        return self.join([as_vector(part(each)) for part, each in zip(self.parts, batches, strict=True)])

    def join(self, vectors: Sequence[Tensor]) -> Tensor:
        """Put the parts' vectors (B, D_k) and their prediction together. (B, D_1 + ... + K)."""
        natural = [
            scale * head(vector) for scale, head, vector in zip(self.scale, self.heads, vectors, strict=True)
        ]
        return self.put_together(vectors, torch.stack(natural).sum(0))

    def put_together(self, vectors: Sequence[Tensor], natural: Tensor) -> Tensor:
        """Put vectors (B, D_k) and natural parameters (B, K) together."""
        return torch.cat([*vectors, self.targets.outputs(natural)], dim=1)

    def _set_widths(self, widths: Sequence[int]) -> None:
        self.heads = nn.ModuleList(Head(width, self.targets) for width in widths)
        self.width = sum(widths) + self.targets.width

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Take the widths of stored heads: a part that is fitted without gradient gets its own here."""
        names = [f"{prefix}heads.{number}.weight" for number in range(len(self.parts))]
        if all(name in state_dict for name in names):
            self._set_widths([state_dict[name].shape[1] for name in names])
        super()._load_from_state_dict(state_dict, prefix, *rest)
