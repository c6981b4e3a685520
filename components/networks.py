"""Whole networks: encoders, fusion and head put together. All give logits (B, C)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from components.fusion import Fusion
from components.fusion.embeddings import as_vector
from components.fusion.late import Late

EncoderBatch = Mapping[str, Tensor]


class Single(nn.Module):
    """One encoder with its own head: the fit of an input, and the baseline that fusion has to beat."""

    def __init__(self, name: str, encoder: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.name = name
        self.encoder = encoder
        self.head = head

    def forward(self, inputs: Mapping[str, EncoderBatch], present: Tensor) -> Tensor:
        return self.head(as_vector(self.encoder(inputs[self.name])))


class Fused(nn.Module):
    """Fusion and head over embeddings.

    Shape:
        embeddings: (B, D_m) or (B, T_m, D_m) each; present: (B, M) bool; result: (B, C).
    """

    def __init__(self, fusion: Fusion, outputs: int) -> None:
        super().__init__()
        self.fusion = fusion
        self.inputs = fusion.inputs
        self.head = nn.Identity() if isinstance(fusion, Late) else nn.Linear(fusion.width, outputs)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        return self.head(self.fusion(embeddings, present))


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

    def forward(self, inputs: Mapping[str, EncoderBatch], present: Tensor) -> Tensor:
        embeddings = {}
        for column, name in enumerate(self.inputs):
            there = present[:, column]
            embeddings[name] = self._embed(self.encoders[name], inputs.get(name), there)
        return self.fused(embeddings, present)

    @staticmethod
    def _embed(encoder: Any, batch: EncoderBatch | None, there: Tensor) -> Tensor:
        if batch is None:
            return torch.zeros(len(there), encoder.width, device=there.device)
        found = encoder(batch)  # rows in which the input is there
        embedding = found.new_zeros(len(there), *found.shape[1:])
        return embedding.index_copy(0, there.nonzero().squeeze(1), found)
