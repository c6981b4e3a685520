"""Collection of all targets of a model, whose natural parameters are concatenated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import TypeAdapter
from torch import Tensor

from components.targets.classification import Classification
from components.targets.multilabel import Multilabel
from components.targets.ordinal import Ordinal
from components.targets.regression import Regression

AnyTarget = Classification | Ordinal | Multilabel | Regression
_KINDS: dict[str, type[AnyTarget]] = {
    "classification": Classification,
    "ordinal": Ordinal,
    "multilabel": Multilabel,
    "regression": Regression,
}
PREFIX = "target."
"""Prefix of a target's column in the samples table."""


@dataclass(frozen=True)
class Targets:
    """One or several targets that are learned together.

    Attributes:
        each: All targets; the first is the primary one, which early stopping and promotion use.
    """

    each: tuple[AnyTarget, ...]

    def __iter__(self) -> Iterator[AnyTarget]:
        return iter(self.each)

    def __len__(self) -> int:
        return len(self.each)

    @property
    def primary(self) -> AnyTarget:
        """Primary target."""
        return self.each[0]

    @property
    def width(self) -> int:
        """Number K of natural parameters of all targets together."""
        return sum(target.width for target in self.each)

    @property
    def slices(self) -> dict[str, slice]:
        """Slice of each target's natural parameters, by name."""
        ends = np.cumsum([target.width for target in self.each]).tolist()
        return {t.name: slice(end - t.width, end) for t, end in zip(self.each, ends, strict=True)}

    def owners(self) -> Tensor:
        """Return the index of each natural parameter's target, (K,) int64."""
        widths = torch.tensor([target.width for target in self.each])
        return torch.arange(len(self.each)).repeat_interleave(widths)

    def natural(self, outputs: Tensor) -> Tensor:
        """Convert outputs of a linear head (..., K) to natural parameters (..., K)."""
        if len(self.each) == 1:
            return self.primary.natural(outputs)
        parts = [target.natural(outputs[..., self.slices[target.name]]) for target in self.each]
        return torch.cat(parts, dim=-1)

    def outputs(self, natural: Tensor) -> Tensor:
        """Convert natural parameters (..., K) to the outputs that :meth:`natural` makes them of."""
        parts = [target.outputs(natural[..., self.slices[target.name]]) for target in self.each]
        return torch.cat(parts, dim=-1)

    def proper(self, natural: Tensor, least: Tensor) -> Tensor:
        """Make sums of natural parameters valid distributions; see :meth:`Target.proper`."""
        if len(self.each) == 1:
            return self.primary.proper(natural, least)
        parts = [
            target.proper(natural[..., part], least[..., part])
            for target, part in zip(self.each, self.slices.values(), strict=True)
        ]
        return torch.cat(parts, dim=-1)

    def encode(self, samples: pd.DataFrame) -> dict[str, Tensor]:
        """Encode every target for the rows of a samples table, by name."""
        return {
            target.name: torch.from_numpy(target.encode(cells_of(samples, target.name))) for target in self
        }

    def losses(self, natural: Tensor, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the mean loss of each target over the rows that have it; 0 if none has."""
        return {target.name: self.loss_of(target, natural, values) for target in self}

    def loss_of(
        self,
        target: AnyTarget,
        natural: Tensor,
        values: Mapping[str, Tensor],
        smoothing: float = 0.0,
        weights: Tensor | None = None,
        row_weights: Tensor | None = None,
    ) -> Tensor:
        """Compute the mean loss of one target over the rows that have it; see :meth:`Target.losses`.

        With ``row_weights`` (B,) each row's loss is multiplied by its weight before the mean is taken.

        Weights of classes tilt the distribution that has the least loss by these weights (every proper loss;
        of labels, by the weight of their presence). So the tilted parameters are given to the loss, and
        ``natural`` belongs to the frequencies of the rows, like those of an unweighted training.
        """
        truth, mine = values[target.name], natural[:, self.slices[target.name]]
        rows = known_rows(truth)
        if not rows.all():
            truth, mine = truth[rows], mine[rows]
        if not len(truth):
            return natural.sum() * 0
        if weights is not None:
            mine = mine + weights.log()
        losses = target.losses(mine, truth, smoothing, weights)
        return (losses if row_weights is None else losses * row_weights[rows]).mean()

    def prior(self, values: Mapping[str, Tensor]) -> Tensor:
        """Estimate natural parameters of a prediction without any input, (K,) float32, from training rows."""
        return torch.cat([target.prior(values[target.name].numpy()) for target in self])

    def to_json(self) -> list[dict[str, Any]]:
        """Convert to JSON for :meth:`from_json`."""
        return [asdict(target) for target in self.each]

    @classmethod
    def from_json(cls, stored: Sequence[Mapping[str, Any]]) -> Targets:
        """Restore from JSON of :meth:`to_json`."""
        return cls(tuple(TypeAdapter(_KINDS[each["task"]]).validate_python(dict(each)) for each in stored))


def known_rows(values: Tensor) -> Tensor:
    """Return (B,) bool, True for the rows of an encoded target that have it."""
    if not values.dtype.is_floating_point:
        return values >= 0
    return ~(values.isnan().any(1) if values.dim() > 1 else values.isnan())


def cells_of(samples: pd.DataFrame, name: str) -> list[str | None]:
    """Return a target's cells in a samples table, None where they are empty."""
    column = samples[f"{PREFIX}{name}"].astype(object)
    return column.where(column.notna(), None).tolist()
