"""Whole networks: encoders, fusion and head put together. All give natural parameters (B, K).

:class:`Single` and :class:`Fused` are ``head(embed(inputs, present))``, where ``embed`` gives the vector
(B, D) that the head looks at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from components.fusion import Fusion
from components.fusion.embeddings import as_vector
from components.fusion.late import Late
from components.targets import Head, Targets


@dataclass(frozen=True)
class Part:
    """What an encoder is given of a batch: the rows in which its input is there.

    Attributes:
        batch: What the preprocessor collates.
        rows: (b,) int64: positions of these rows among the B rows of the batch.
    """

    batch: Mapping[str, Tensor]
    rows: Tensor


class Single(nn.Module):
    """One encoder with its own head: the fit of an input, and the baseline that fusion has to beat."""

    def __init__(self, name: str, encoder: nn.Module, head: Head) -> None:
        super().__init__()
        self.name = name
        self.encoder = encoder
        self.head = head

    def forward(self, inputs: Mapping[str, Part], present: Tensor) -> Tensor:
        return self.head(self.embed(inputs, present))

    def embed(self, inputs: Mapping[str, Part], present: Tensor) -> Tensor:
        """The encoder's vector (B, D)."""
        return as_vector(self.encoder(inputs[self.name].batch))


class Fused(nn.Module):
    """Fusion and head over embeddings.

    Shape:
        embeddings: (B, D_m) or (B, T_m, D_m) each; present: (B, M) bool; result: (B, K).
    """

    def __init__(self, fusion: Fusion, targets: Targets) -> None:
        super().__init__()
        self.fusion = fusion
        self.inputs = fusion.inputs
        self.head = nn.Identity() if isinstance(fusion, Late) else Head(fusion.width, targets)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        return self.head(self.embed(embeddings, present))

    def embed(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """The fused vector (B, D); of late fusion, which has none, its natural parameters."""
        return self.fusion(embeddings, present)


class Joint(nn.Module):
    """Encoders, fusion and head trained together.

    Each encoder sees the rows in which its input is there; the others get zeros, which the fusion
    never looks at.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], fused: Fused) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.fused = fused
        self.inputs = fused.inputs

    def forward(self, inputs: Mapping[str, Part], present: Tensor) -> Tensor:
        embeddings = {
            name: self._embed(self.encoders[name], inputs.get(name), present) for name in self.inputs
        }
        return self.fused(embeddings, present)

    @staticmethod
    def _embed(encoder: Any, part: Part | None, present: Tensor) -> Tensor:
        if part is None:  # the input is in no row of the batch
            return torch.zeros(len(present), encoder.width, device=present.device)
        found = encoder(part.batch)  # (b, D) or (b, T, D)
        return found.new_zeros(len(present), *found.shape[1:]).index_copy(0, part.rows, found)
