"""The delivered model: every candidate, calibrated, and for each subset of the inputs the best of them.

Candidates are each input alone, the average and the late fusion of their decisions. Further ones are trees
over all inputs, the trained fusion, and an ensemble of all these. For every subset the one predicts that did
best on rows which none of its parts has learned from. So, as far as these rows can tell, no row is scored by
something worse than its best input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from components.metrics.thresholds import EVEN
from components.models.fusion.late import Late, Pool
from components.models.fusion.masking import as_vector
from components.models.networks import Fused
from components.targets import AnyTarget, Head, Targets

AVERAGE, LATE, TREES, FUSION, ENSEMBLE = "average", "late", "trees", "fusion", "ensemble"
Subset = tuple[str, ...]


class Rows(Protocol):
    """N rows, as the candidates take them.

    Attributes:
        present: (N, M) bool, columns in sorted order of the names.
    """

    @property
    def present(self) -> Tensor: ...

    def natural(self, model: CandidateEnsemble, candidate: str, subset: Subset) -> Tensor:
        """Give natural parameters (N, K) of an input or a fusion, uncalibrated, from a subset of inputs."""

    def take(self, rows: Tensor) -> Self:
        """Keep the rows at some positions (n,)."""


@dataclass(frozen=True)
class InputEmbeddings:
    """One input of N rows, embedded.

    Attributes:
        single: (N, D) or (N, T, D) from the encoder of the single fit; zeros where the input is absent.
        fusion: The same from the encoder that fusion and trees were trained with; the same object unless
            trained jointly, or where the single fit was repeated with validation rows.
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
        fusion: (N, ...) for each input, from the encoders that fusion and trees were trained with; the
            same mapping unless they were trained jointly, or single fits were repeated with validation rows.
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

    def natural(self, model: CandidateEnsemble, candidate: str, subset: Subset) -> Tensor:
        """Call the candidate; see :class:`Rows`."""
        if candidate in model.inputs:
            return model.heads[candidate](as_vector(self.single[candidate])).float()
        mask = model.mask(subset).to(self.present.device).expand(len(self.present), -1)
        if candidate == TREES:
            assert model.trees is not None
            return model.trees(self.fusion, mask).float()
        pool = model.pool if candidate == FUSION else model.late
        if pool is None:
            assert model.fused is not None
            return model.fused(self.fusion, mask).float()
        return pool.combine({name: self.natural(model, name, (name,)) for name in model.inputs}, mask)

    def take(self, rows: Tensor) -> Self:
        """Keep some rows; see :class:`Rows`."""
        single = {name: value[rows] for name, value in self.single.items()}
        shared = self.fusion is self.single
        fusion = single if shared else {name: value[rows] for name, value in self.fusion.items()}
        return type(self)(single, fusion, self.present[rows])

    @property
    def inputs(self) -> dict[str, InputEmbeddings]:
        """Each input by name, in sorted order."""
        return {
            name: InputEmbeddings(self.single[name], self.fusion[name], self.present[:, column])
            for column, name in enumerate(sorted(self.single))
        }


@dataclass(frozen=True)
class Predicted:
    """Natural parameters of N rows by candidates that did not learn from them, in the place of a call.

    Attributes:
        single: (N, K) by input; rows in which it is absent hold anything.
        fused: (N, K) by fusion or ensemble and subset of the inputs.
        present: (N, M) bool, columns in sorted order of the names.
        positions: (n,) positions of the rows among those of ``single`` and ``fused``; None means all.
        folds: (N,) number of the fold of each row, by which ``thresholds`` are looked up.
        thresholds: Decision thresholds (F, C) by target, candidate and subset, each fold's from the others.
    """

    single: Mapping[str, Tensor]
    fused: Mapping[str, Mapping[Subset, Tensor]]
    present: Tensor
    positions: Tensor | None = None
    folds: Tensor | None = None
    thresholds: Mapping[str, Mapping[str, Mapping[Subset, Tensor]]] = field(default_factory=dict)

    def natural(self, model: CandidateEnsemble, candidate: str, subset: Subset) -> Tensor:
        """Look the natural parameters up; see :class:`Rows`."""
        every = self.single[candidate] if candidate in self.single else self.fused[candidate][subset]
        return every if self.positions is None else every[self.positions]

    def take(self, rows: Tensor) -> Self:
        """Keep some rows; see :class:`Rows`. Nothing is copied, since one of all subsets is looked up."""
        positions = rows if self.positions is None else self.positions[rows]
        return replace(self, present=self.present[rows], positions=positions)


@dataclass
class Choice:
    """Choice that rows outside of every fit led to, for one target.

    Attributes:
        temperatures: Temperature by candidate and subset.
        thresholds: Decision thresholds (C,) by candidate and subset; empty where the target has none.
        members: Members of the ensemble and how often each counts, by subset.
        candidate: Candidate that predicts, by subset.
        quantiles: Conformal quantiles by subset.
        calibrated: Rows that the quantiles come from, by subset: their number, and whether they have no
            input beside those of the subset. Else further inputs are hidden, which assumes that inputs are
            missing at random.
    """

    temperatures: dict[str, dict[Subset, float]] = field(default_factory=dict)
    thresholds: dict[str, dict[Subset, list[float]]] = field(default_factory=dict)
    members: dict[Subset, dict[str, int]] = field(default_factory=dict)
    candidate: dict[Subset, str] = field(default_factory=dict)
    quantiles: dict[Subset, list[float]] = field(default_factory=dict)
    calibrated: dict[Subset, tuple[int, bool]] = field(default_factory=dict)


class CandidateEnsemble(nn.Module):
    """Candidates, their temperatures, and the choice among them for each target.

    Args:
        heads: Linear head of each input.
        fused: Fusion and head; None with a single input.
        targets: What is predicted, with K natural parameters.
        prior: (K,) natural parameters of the prediction where nothing is present.
        trees: Trees over all inputs beside the fusion; None where there are none.

    Attributes:
        late: Pool of the heads' decisions; None with a single input, or where the fusion is one itself.
    """

    def __init__(
        self,
        heads: Mapping[str, Head],
        fused: Fused | None,
        targets: Targets,
        prior: Tensor,
        trees: Fused | None = None,
    ) -> None:
        super().__init__()
        self.inputs = tuple(sorted(heads))
        self.heads = nn.ModuleDict(heads)
        self.fused, self.trees = fused, trees
        needs_pool = fused is not None and not isinstance(fused.fusion, Late)
        self.late = Pool(self.inputs, targets) if needs_pool else None
        self.targets = targets
        self.prior: Tensor
        self.register_buffer("prior", prior.clone())
        self.choices: dict[str, Choice] = {target.name: Choice() for target in targets}

    @property
    def pool(self) -> Late | None:
        """The fusion, if it pools what the inputs' own heads say; None if it takes embeddings.

        Beside trees a late fusion always does, since encoders and fusion are not trained together then. Trees
        may take the embeddings of other encoders than the heads; see ``training.refit``.
        """
        fusion = None if self.fused is None or self.trees is None else self.fused.fusion
        return fusion if isinstance(fusion, Late) else None

    def subsets(self) -> list[Subset]:
        """List every non-empty subset of the inputs, small ones first."""
        return [
            subset for size in range(1, len(self.inputs) + 1) for subset in combinations(self.inputs, size)
        ]

    def candidates(self, subset: Subset) -> list[str]:
        """List the candidates for a row with these inputs: singles, their average, fusions, ensemble."""
        if self.fused is None:
            return list(subset)
        pooled = [AVERAGE, *([] if self.late is None else [LATE])] if len(subset) > 1 else []
        return [*subset, *pooled, *([] if self.trees is None else [TREES]), FUSION, ENSEMBLE]

    def natural(self, target: AnyTarget, candidate: str, rows: Rows, subset: Subset) -> Tensor:
        """Compute natural parameters (N, K_t) of one candidate from the inputs of ``subset``.

        They are not calibrated yet. Every row must have all inputs of the subset. Average and ensemble are
        those of calibrated predictions.
        """
        if candidate == AVERAGE:
            return self._mix(target, dict.fromkeys(subset, 1), rows, subset)
        if candidate == ENSEMBLE and not (isinstance(rows, Predicted) and ENSEMBLE in rows.fused):
            members = self.choices[target.name].members.get(subset) or dict.fromkeys(subset, 1)
            return self._mix(target, members, rows, subset)
        return rows.natural(self, candidate, subset)[:, self.targets.slices[target.name]]

    def _mix(self, target: AnyTarget, members: Mapping[str, int], rows: Rows, subset: Subset) -> Tensor:
        """Average the calibrated predictions of some candidates, and give natural parameters (N, K_t)."""
        predictions = [
            target.predict(
                target.proper(
                    self.natural(target, name, rows, subset) / self.temperature(target, name, subset)
                )
            )
            for name in members
        ]
        return target.mix(predictions, list(members.values()))

    def temperature(self, target: AnyTarget, candidate: str, subset: Subset) -> float:
        """Give the divisor of a candidate's natural parameters where these inputs are present."""
        used = self.used(candidate, subset)
        return self.choices[target.name].temperatures.get(candidate, {}).get(used, 1.0)

    def used(self, candidate: str, subset: Subset) -> Subset:
        """List the inputs of a subset that a candidate looks at."""
        return (candidate,) if candidate in self.inputs else subset

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
        rows: Rows,
        allowed: Sequence[str],
        candidate: str | None = None,
        calibrated: bool = True,
    ) -> Tensor:
        """Predict one target for rows that may use some inputs.

        Args:
            target: One of the targets.
            rows: N rows.
            allowed: Inputs that may be used; each row uses those of them that it has.
            candidate: Candidate that predicts; None leaves it to the choice made for each subset.
            calibrated: Divide natural parameters by their temperature.

        Returns:
            (N, P) float64 on the CPU; the prior where a row has none of the inputs.
        """
        result = self.prior_prediction(target).repeat(len(rows.present), 1)
        usable = (candidate,) if candidate in self.inputs else tuple(allowed)
        for subset, positions in self._rows(rows.present, usable):
            chosen = self._chosen(target, candidate, subset)
            natural = self.natural(target, chosen, rows.take(positions), subset).double().cpu()
            if calibrated:
                natural = natural / self.temperature(target, chosen, subset)
            result[positions.cpu()] = target.predict(target.proper(natural))
        return result

    def answer(
        self, target: AnyTarget, rows: Rows, allowed: Sequence[str], candidate: str | None = None
    ) -> Tensor:
        """Predict as :meth:`predict`, with the decision thresholds of each row beside its probabilities.

        Returns:
            (N, P), or (N, P + C) where the target has thresholds; a row without inputs has even ones.
        """
        predictions = self.predict(target, rows, allowed, candidate)
        if not self.choices[target.name].thresholds:
            return predictions
        thresholds = torch.full_like(predictions, EVEN)
        usable = (candidate,) if candidate in self.inputs else tuple(allowed)
        for subset, positions in self._rows(rows.present, usable):
            chosen = self._chosen(target, candidate, subset)
            of_rows = self._thresholds(target, rows, positions, chosen, self.used(chosen, subset))
            if of_rows is not None:
                thresholds[positions.cpu()] = of_rows
        return torch.cat([predictions, thresholds], dim=1)

    def delivered_thresholds(self, target: AnyTarget) -> dict[Subset, list[float]]:
        """Give the decision thresholds (C,) of what predicts for each subset; empty without thresholds."""
        choice = self.choices[target.name]
        return {
            subset: own[used]
            for subset, name in choice.candidate.items()
            if (used := self.used(name, subset)) in (own := choice.thresholds.get(name, {}))
        }

    def _chosen(self, target: AnyTarget, candidate: str | None, subset: Subset) -> str:
        chosen = candidate or self.choices[target.name].candidate[subset]
        return chosen if chosen in self.candidates(subset) else subset[0]  # the average of one input

    def _thresholds(
        self, target: AnyTarget, rows: Rows, positions: Tensor, candidate: str, used: Subset
    ) -> Tensor | None:
        """Give thresholds (C,) or, out of fold, (n, C); None if none were found for these inputs."""
        if isinstance(rows, Predicted) and rows.folds is not None:
            by_fold = rows.thresholds.get(target.name, {}).get(candidate, {}).get(used)
            if by_fold is not None:
                every = rows.folds if rows.positions is None else rows.folds[rows.positions]
                return by_fold[every[positions]]
        own = self.choices[target.name].thresholds.get(candidate, {}).get(used)
        return None if own is None else torch.tensor(own, dtype=torch.float64)

    def quantiles(self, target: AnyTarget, rows: Rows, allowed: Sequence[str]) -> np.ndarray:
        """Give conformal quantiles of each row's own subset, infinite without any input. (N, Q) float64."""
        known = self.choices[target.name].quantiles
        width = max((len(values) for values in known.values()), default=1)
        result = np.full((len(rows.present), width), np.inf)
        for subset, positions in self._rows(rows.present, tuple(allowed)):
            if subset in known:
                result[positions.cpu().numpy()] = known[subset]
        return result

    def _rows(self, present: Tensor, usable: Sequence[str]) -> Iterator[tuple[Subset, Tensor]]:
        """Give each subset with the rows that have just these of the usable inputs, none without rows."""
        present = present & self.mask(tuple(usable)).to(present.device)  # (N, M)
        for subset in self.subsets():
            rows = (present == self.mask(subset).to(present.device)).all(1).nonzero().squeeze(1)
            if len(rows):
                yield subset, rows

    def settings(self) -> dict[str, dict[str, list[list[object]]]]:
        """Give temperatures, thresholds, choice and quantiles by target, JSON-serialisable."""
        return {
            name: {
                "temperatures": [
                    [candidate, list(subset), value]
                    for candidate, subsets in choice.temperatures.items()
                    for subset, value in subsets.items()
                ],
                "thresholds": [
                    [candidate, list(subset), values]
                    for candidate, subsets in choice.thresholds.items()
                    for subset, values in subsets.items()
                ],
                "members": [
                    [list(subset), list(Counter(members).elements())]
                    for subset, members in choice.members.items()
                ],
                "candidate": [[list(subset), value] for subset, value in choice.candidate.items()],
                "quantiles": [
                    [list(subset), [None if np.isinf(value) else value for value in values]]
                    for subset, values in choice.quantiles.items()
                ],
                "calibrated": [[list(subset), *given] for subset, given in choice.calibrated.items()],
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
            for name, subset, values in stored.get("thresholds", ()):
                choice.thresholds.setdefault(name, {})[tuple(subset)] = list(map(float, values))
            for subset, members in stored.get("members", ()):
                choice.members[tuple(subset)] = dict(Counter(members))
            for subset, name in stored["candidate"]:
                choice.candidate[tuple(subset)] = str(name)
            for subset, values in stored["quantiles"]:
                choice.quantiles[tuple(subset)] = [np.inf if v is None else float(v) for v in values]
            for subset, count, is_exact in stored.get("calibrated", ()):
                choice.calibrated[tuple(subset)] = (int(count), bool(is_exact))
            self.choices[target] = choice
