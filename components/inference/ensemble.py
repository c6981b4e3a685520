"""The delivered model: every candidate, calibrated, and for each subset of the inputs the best of them.

Candidates are each input alone, the average of their decisions, and the fusion. For every subset
the one that did best on validation rows predicts. So, as far as validation can tell, no row is scored by
something worse than its best input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.models.fusion.masking import as_vector
from components.models.networks import Fused
from components.targets import AnyTarget, Head, Targets

AVERAGE, FUSION = "average", "fusion"
Subset = tuple[str, ...]


@dataclass(frozen=True)
class InputEmbeddings:
    """One input of N rows, embedded.

    Attributes:
        single: (N, D) or (N, T, D) from the encoder of the single fit; zeros where the input is absent.
        fusion: The same from the encoder that the fusion was trained with; the same object unless trained
            jointly.
        present: (N,) bool.
    """

    single: Tensor
    fusion: Tensor
    present: Tensor

    def repeat(self, count: int) -> InputEmbeddings:
        """Give a single row ``count`` times."""
        single = self.single.expand(count, *self.single.shape[1:])
        shared = self.fusion is self.single
        fusion = single if shared else self.fusion.expand(count, *self.fusion.shape[1:])
        return InputEmbeddings(single, fusion, self.present.expand(count))


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of N rows, as the candidates take them.

    Attributes:
        single: (N, ...) for each input, from its own encoder.
        fusion: (N, ...) for each input, from the encoders that the fusion was trained with; the
            same mapping unless encoders and fusion were trained jointly.
        present: (N, M) bool, columns in sorted order of the names.
    """

    single: Mapping[str, Tensor]
    fusion: Mapping[str, Tensor]
    present: Tensor

    @classmethod
    def of(cls, inputs: Mapping[str, InputEmbeddings]) -> Embeddings:
        """Put all inputs of the same N rows together."""
        names = sorted(inputs)
        single = {name: inputs[name].single for name in names}
        shared = all(inputs[name].fusion is inputs[name].single for name in names)
        fusion = single if shared else {name: inputs[name].fusion for name in names}
        return cls(single, fusion, torch.stack([inputs[name].present for name in names], dim=1))

    @property
    def inputs(self) -> dict[str, InputEmbeddings]:
        """Each input by name, in sorted order."""
        return {
            name: InputEmbeddings(self.single[name], self.fusion[name], self.present[:, column])
            for column, name in enumerate(sorted(self.single))
        }


@dataclass
class Choice:
    """Choice that the validation rows led to, for one target.

    Attributes:
        temperatures: Temperature by candidate and subset.
        candidate: Candidate that predicts, by subset.
        quantiles: Conformal quantiles by subset.
    """

    temperatures: dict[str, dict[Subset, float]] = field(default_factory=dict)
    candidate: dict[Subset, str] = field(default_factory=dict)
    quantiles: dict[Subset, list[float]] = field(default_factory=dict)


class CandidateEnsemble(nn.Module):
    """Candidates, their temperatures, and the choice among them for each target.

    Args:
        heads: Linear head of each input.
        fused: Fusion and head; None with a single input.
        targets: What is predicted, with K natural parameters.
        prior: (K,) natural parameters of the prediction where nothing is present.
    """

    def __init__(
        self, heads: Mapping[str, Head], fused: Fused | None, targets: Targets, prior: Tensor
    ) -> None:
        super().__init__()
        self.inputs = tuple(sorted(heads))
        self.heads = nn.ModuleDict(heads)
        self.fused = fused
        self.targets = targets
        self.prior: Tensor
        self.register_buffer("prior", prior.clone())
        self.choices: dict[str, Choice] = {target.name: Choice() for target in targets}

    def subsets(self) -> list[Subset]:
        """List every non-empty subset of the inputs, small ones first."""
        return [
            subset for size in range(1, len(self.inputs) + 1) for subset in combinations(self.inputs, size)
        ]

    def candidates(self, subset: Subset) -> list[str]:
        """List the candidates for a row with these inputs: singles, then average and fusion."""
        if self.fused is None:
            return list(subset)
        return [*subset, *([AVERAGE] if len(subset) > 1 else []), FUSION]

    def natural(self, target: AnyTarget, candidate: str, embeddings: Embeddings, subset: Subset) -> Tensor:
        """Compute natural parameters (N, K_t) of one candidate from the inputs of ``subset``.

        They are not calibrated yet. Every row must have all inputs of the subset. The average is that of
        the singles' calibrated predictions.
        """
        part = self.targets.slices[target.name]
        if candidate == AVERAGE:
            return target.mix(
                [
                    target.predict(
                        target.proper(
                            self.natural(target, name, embeddings, (name,))
                            / self.temperature(target, name, (name,))
                        )
                    )
                    for name in subset
                ]
            )
        if candidate == FUSION:
            assert self.fused is not None
            mask = self.mask(subset).to(embeddings.present.device).expand(len(embeddings.present), -1)
            return self.fused(embeddings.fusion, mask).float()[:, part]
        return self.heads[candidate](as_vector(embeddings.single[candidate])).float()[:, part]

    def temperature(self, target: AnyTarget, candidate: str, subset: Subset) -> float:
        """Give the divisor of a candidate's natural parameters where these inputs are present."""
        used = (candidate,) if candidate in self.inputs else subset
        return self.choices[target.name].temperatures.get(candidate, {}).get(used, 1.0)

    def mask(self, subset: Subset) -> Tensor:
        """Mark the inputs of a subset: (M,) bool."""
        return torch.tensor([name in subset for name in self.inputs])

    def prior_prediction(self, target: AnyTarget) -> Tensor:
        """Predict without any input. (P,) float64."""
        natural = self.prior[self.targets.slices[target.name]].double().cpu()
        return target.predict(natural.unsqueeze(0))[0]

    @torch.inference_mode()
    def predict(
        self,
        target: AnyTarget,
        embeddings: Embeddings,
        allowed: Sequence[str],
        candidate: str | None = None,
        calibrated: bool = True,
        fusion_natural: Mapping[Subset, Tensor] | None = None,
    ) -> Tensor:
        """Predict one target for rows that may use some inputs.

        Args:
            target: One of the targets.
            embeddings: Embeddings of N rows.
            allowed: Inputs that may be used; each row uses those of them that it has.
            candidate: Candidate that predicts; None leaves it to the choice made for each subset.
            calibrated: Divide natural parameters by their temperature.
            fusion_natural: Natural parameters (N, K) of the fusion by subset, instead of a call.

        Returns:
            (N, P) float64 on the CPU; the prior where a row has none of the inputs.
        """
        result = self.prior_prediction(target).repeat(len(embeddings.present), 1)
        usable = (candidate,) if candidate in self.inputs else tuple(allowed)
        part = self.targets.slices[target.name]
        for subset, rows in self._rows(embeddings, usable):
            chosen = candidate or self.choices[target.name].candidate[subset]
            if chosen not in self.candidates(subset):
                chosen = subset[0]  # the average of one input is that input
            if chosen == FUSION and fusion_natural is not None and subset in fusion_natural:
                natural = fusion_natural[subset][rows.cpu()][:, part].double()
            else:
                natural = self.natural(target, chosen, take(embeddings, rows), subset).double().cpu()
            if calibrated:
                natural = natural / self.temperature(target, chosen, subset)
            result[rows.cpu()] = target.predict(target.proper(natural))
        return result

    def quantiles(self, target: AnyTarget, embeddings: Embeddings, allowed: Sequence[str]) -> np.ndarray:
        """Give conformal quantiles of each row's own subset, infinite without any input. (N, Q) float64."""
        known = self.choices[target.name].quantiles
        width = max((len(values) for values in known.values()), default=1)
        result = np.full((len(embeddings.present), width), np.inf)
        for subset, rows in self._rows(embeddings, tuple(allowed)):
            if subset in known:
                result[rows.cpu().numpy()] = known[subset]
        return result

    def _rows(self, embeddings: Embeddings, usable: Sequence[str]) -> Iterator[tuple[Subset, Tensor]]:
        """Give each subset with the rows that have just these of the usable inputs, none without rows."""
        present = embeddings.present & self.mask(tuple(usable)).to(embeddings.present.device)  # (N, M)
        for subset in self.subsets():
            rows = (present == self.mask(subset).to(present.device)).all(1).nonzero().squeeze(1)
            if len(rows):
                yield subset, rows

    def settings(self) -> dict[str, dict[str, list[list[object]]]]:
        """Give temperatures, choice and quantiles by target, JSON-serialisable."""
        return {
            name: {
                "temperatures": [
                    [candidate, list(subset), value]
                    for candidate, subsets in choice.temperatures.items()
                    for subset, value in subsets.items()
                ],
                "candidate": [[list(subset), value] for subset, value in choice.candidate.items()],
                "quantiles": [
                    [list(subset), [None if np.isinf(value) else value for value in values]]
                    for subset, values in choice.quantiles.items()
                ],
            }
            for name, choice in self.choices.items()
        }

    def set_settings(self, settings: Mapping[str, Mapping[str, list[list[Any]]]]) -> None:
        """Put back what :meth:`settings` gave."""
        self.choices = {}
        for target, stored in settings.items():
            choice = Choice()
            for name, subset, value in stored["temperatures"]:
                choice.temperatures.setdefault(name, {})[tuple(subset)] = float(value)
            for subset, name in stored["candidate"]:
                choice.candidate[tuple(subset)] = str(name)
            for subset, values in stored["quantiles"]:
                choice.quantiles[tuple(subset)] = [np.inf if v is None else float(v) for v in values]
            self.choices[target] = choice


def take(embeddings: Embeddings, rows: Tensor) -> Embeddings:
    """Keep some rows."""
    single = {name: value[rows] for name, value in embeddings.single.items()}
    fusion = (
        single
        if embeddings.fusion is embeddings.single
        else {name: value[rows] for name, value in embeddings.fusion.items()}
    )
    return Embeddings(single, fusion, embeddings.present[rows])
