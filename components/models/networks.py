"""Whole networks: encoders, fusion and head put together. All give natural parameters (B, K).

:class:`Single` and :class:`Fused` are ``head(vector(inputs, present))``, where ``vector`` gives the vector
(B, D) that the head looks at.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from components.models.fusion import Fusion
from components.models.fusion.masking import as_vector
from components.models.projections import Aligned
from components.targets import Head, Targets


@dataclass(frozen=True)
class Part:
    """Rows of a batch in which one input is present, as its encoder takes them.

    Attributes:
        batch: Tensors that the preprocessor collates.
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
        """Give the encoder's vector (B, D)."""
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
        self.head = nn.Identity() if fusion.decides else Head(fusion.width, targets)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        return self.decide(self.embed(embeddings, present), present)

    def embed(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Mapping[str, Tensor]:
        """Give the embeddings, which are the inputs already."""
        return embeddings

    def vector(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Give the fused vector (B, D); where there is none, its natural parameters."""
        return self.fusion(embeddings, present)

    def decide(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Turn embeddings into natural parameters (B, K)."""
        return self.head(self.vector(embeddings, present))

    def parameters_of(self, name: str) -> list[nn.Parameter]:
        """Give the parameters that serve one input alone."""
        return [value for key, value in self.named_parameters() if name in key.split(".")]


class Joint(nn.Module):
    """Encoders, and what takes their embeddings, trained together: fusion and head, or projections.

    Each encoder sees the rows in which its input is present; other rows get zeros, which no fusion uses.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], fused: Fused | Aligned) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.fused = fused
        self.inputs = fused.inputs

    def forward(self, inputs: Mapping[str, Part], present: Tensor) -> Tensor:
        return self.decide(self.embed(inputs, present), present)

    def embed(self, inputs: Mapping[str, Part], present: Tensor) -> dict[str, Tensor]:
        """Give embeddings of every input for all rows of a batch, zeros for rows without it."""
        return {name: self._embed(self.encoders[name], inputs.get(name), present) for name in self.inputs}

    def decide(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Turn embeddings into natural parameters (B, K)."""
        return self.fused(embeddings, present)

    def parameters_of(self, name: str) -> list[nn.Parameter]:
        """Give the parameters that serve one input alone: its encoder, and its part of the fusion."""
        return [value for key, value in self.named_parameters() if name in key.split(".")]

    @staticmethod
    def _embed(encoder: Any, part: Part | None, present: Tensor) -> Tensor:
        if part is None:  # the input is in no row of the batch
            return torch.zeros(len(present), encoder.width, device=present.device)
        embedding = encoder(part.batch)  # (b, D) or (b, T, D)
        zeros = embedding.new_zeros(len(present), *embedding.shape[1:])  # (B, D) or (B, T, D)
        return zeros.index_copy(0, part.rows, embedding)


@dataclass(frozen=True)
class Batch:
    """Rows given to a network.

    Attributes:
        inputs: Embeddings (B, ...) for each input; or a :class:`components.models.networks.Part` for each
            input that is in any of the rows.
        present: (B, M) bool, columns in sorted order of the input names.
        targets: (B,) or (B, L) by target.
        further: Other tensors that an objective needs, (B, ...) by name.
    """

    inputs: Mapping[str, Any]
    present: Tensor
    targets: Mapping[str, Tensor]
    further: Mapping[str, Tensor] = field(default_factory=dict)
