"""Whole networks: encoders, fusion and head put together. All give natural parameters (B, K).

:class:`Single` and :class:`Fused` are ``head(vector(inputs, present))``, where ``vector`` gives the vector
(B, D) that the head looks at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from components.models.fusion import Fusion
from components.models.fusion.late import Late
from components.models.fusion.masking import as_vector
from components.models.projections import Aligned
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
        return self.head(self.vector(inputs, present))

    def vector(self, inputs: Mapping[str, Part], present: Tensor) -> Tensor:
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
        return self.decide(self.embed(embeddings, present), present)

    def embed(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Mapping[str, Tensor]:
        """Embeddings are what it is given."""
        return embeddings

    def vector(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """The fused vector (B, D); of late fusion, which has none, its natural parameters."""
        return self.fusion(embeddings, present)

    def decide(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Embeddings to natural parameters."""
        return self.head(self.vector(embeddings, present))

    def parameters_of(self, name: str) -> list[nn.Parameter]:
        """Parameters that serve one input alone."""
        return [value for key, value in self.named_parameters() if name in key.split(".")]


class Joint(nn.Module):
    """Encoders, and what takes their embeddings, trained together: fusion and head, or projections.

    Each encoder sees the rows in which its input is there; the others get zeros, which are never looked at.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], fused: Fused | Aligned) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.fused = fused
        self.inputs = fused.inputs

    def forward(self, inputs: Mapping[str, Part], present: Tensor) -> Tensor:
        return self.decide(self.embed(inputs, present), present)

    def embed(self, inputs: Mapping[str, Part], present: Tensor) -> dict[str, Tensor]:
        """Embeddings of every input for all rows of a batch, zeros where it is absent."""
        return {name: self._embed(self.encoders[name], inputs.get(name), present) for name in self.inputs}

    def decide(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Embeddings to natural parameters."""
        return self.fused(embeddings, present)

    def parameters_of(self, name: str) -> list[nn.Parameter]:
        """Parameters that serve one input alone: its encoder, and its part of the fusion."""
        return [value for key, value in self.named_parameters() if name in key.split(".")]

    @staticmethod
    def _embed(encoder: Any, part: Part | None, present: Tensor) -> Tensor:
        if part is None:  # the input is in no row of the batch
            return torch.zeros(len(present), encoder.width, device=present.device)
        found = encoder(part.batch)  # (b, D) or (b, T, D)
        return found.new_zeros(len(present), *found.shape[1:]).index_copy(0, part.rows, found)


@dataclass(frozen=True)
class Batch:
    """Rows given to a network.

    Attributes:
        inputs: Embeddings (B, ...) for each input; or a :class:`components.models.networks.Part` for each
            input that is in any of the rows.
        present: (B, M) bool, columns in sorted order of the input names.
        targets: (B,) or (B, L) by target.
        further: What else an objective looks at, (B, ...) by name.
    """

    inputs: Mapping[str, Any]
    present: Tensor
    targets: Mapping[str, Tensor]
    further: Mapping[str, Tensor] = field(default_factory=dict)
