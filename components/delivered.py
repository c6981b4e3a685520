"""The model that is delivered: every candidate, calibrated, and for each set of inputs the best of them.

Candidates are each input alone, the average of their decisions, and the fusion. For every pattern
of presence the one that did best on validation rows answers, so that a row is never scored by
something worse than the best input it has, as far as validation can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn

from components.evaluation.bootstrap import paired_gain
from components.evaluation.calibration import fit_temperature
from components.evaluation.metrics import metric
from components.fusion.embeddings import as_vector
from components.networks import Fused
from components.ranking import rank

AVERAGE, FUSION = "average", "fusion"
_RESAMPLES, _ONE_ERROR = 1000, 0.6827  # the interval of this level reaches one standard error to either side
Pattern = tuple[str, ...]


@dataclass(frozen=True)
class Embeddings:
    """What the candidates take.

    Attributes:
        single: (N, ...) for each input, from its own encoder.
        fusion: (N, ...) for each input, from the encoders that the fusion was trained with; the
            same mapping unless encoders and fusion were trained jointly.
        present: (N, M) bool, columns in sorted order of the names.
    """

    single: Mapping[str, Tensor]
    fusion: Mapping[str, Tensor]
    present: Tensor


class Delivered(nn.Module):
    """Candidates, their temperatures, and the choice among them.

    Args:
        heads: Linear head of each input.
        fused: Fusion and head; None with a single input.
        prior: (C,) frequencies of the classes in the training rows: the answer where nothing is present.
    """

    def __init__(self, heads: Mapping[str, nn.Linear], fused: Fused | None, prior: Tensor) -> None:
        super().__init__()
        self.inputs = tuple(sorted(heads))
        self.heads = nn.ModuleDict(heads)
        self.fused = fused
        self.prior: Tensor
        self.register_buffer("prior", prior.clone())
        self.temperatures: dict[str, dict[Pattern, float]] = {}
        self.choice: dict[Pattern, str] = {}

    def patterns(self) -> list[Pattern]:
        """Every non-empty subset of the inputs, small ones first."""
        return [
            subset for size in range(1, len(self.inputs) + 1) for subset in combinations(self.inputs, size)
        ]

    def candidates(self, pattern: Pattern) -> list[str]:
        """Names of what can answer a row with these inputs: singles, then average and fusion."""
        if self.fused is None:
            return list(pattern)
        return [*pattern, *([AVERAGE] if len(pattern) > 1 else []), FUSION]

    def logits(self, candidate: str, embeddings: Embeddings, pattern: Pattern) -> Tensor:
        """Logits (N, C) of one candidate that looks at the inputs of ``pattern``, before calibration.

        Every row must have all inputs of the pattern; others are not looked at. The average's are
        the logarithm of the mean of the singles' calibrated probabilities.
        """
        if candidate == AVERAGE:
            singles = [
                self.logits(name, embeddings, (name,)) / self.temperature(name, (name,)) for name in pattern
            ]
            return torch.stack([logits.log_softmax(1) for logits in singles]).logsumexp(0) - np.log(
                len(pattern)
            )
        if candidate == FUSION:
            assert self.fused is not None
            mask = self.mask(pattern).to(embeddings.present.device).expand(len(embeddings.present), -1)
            return self.fused(embeddings.fusion, mask).float()
        return self.heads[candidate](as_vector(embeddings.single[candidate])).float()

    def temperature(self, candidate: str, pattern: Pattern) -> float:
        """What the logits of a candidate are divided by where these inputs are present."""
        used = (candidate,) if candidate in self.inputs else pattern
        return self.temperatures.get(candidate, {}).get(used, 1.0)

    def mask(self, pattern: Pattern) -> Tensor:
        """(M,) bool of a subset of the inputs."""
        return torch.tensor([name in pattern for name in self.inputs])

    @torch.inference_mode()
    def predict(
        self,
        embeddings: Embeddings,
        allowed: Sequence[str],
        candidate: str | None = None,
        calibrated: bool = True,
        fusion_logits: Mapping[Pattern, Tensor] | None = None,
    ) -> Tensor:
        """Probabilities of rows that may use some inputs.

        Args:
            embeddings: Of N rows.
            allowed: Inputs that may be used; each row uses those of them that it has.
            candidate: Who answers; None leaves it to the choice made for each pattern.
            calibrated: Divide logits by their temperature.
            fusion_logits: (N, C) for patterns in which the fusion's logits are known better than
                it would give them: made without the rows themselves.

        Returns:
            (N, C) float64; the prior in rows where the candidate has nothing to go by.
        """
        result = self.prior.double().cpu().repeat(len(embeddings.present), 1)
        usable = (candidate,) if candidate in self.inputs else tuple(allowed)
        there = embeddings.present & self.mask(usable).to(embeddings.present.device)
        for pattern in self.patterns():
            rows = (there == self.mask(pattern).to(there.device)).all(1).nonzero().squeeze(1)
            if len(rows):
                answers = candidate or self.choice[pattern]
                if answers not in self.candidates(pattern):
                    answers = pattern[0]  # the average of one input is that input
                if answers == FUSION and fusion_logits is not None and pattern in fusion_logits:
                    logits = fusion_logits[pattern][rows.cpu()].double()
                else:
                    logits = self.logits(answers, take(embeddings, rows), pattern).double()
                if calibrated:
                    logits = logits / self.temperature(answers, pattern)
                result[rows.cpu()] = logits.softmax(1).cpu()
        return result

    def settings(self) -> dict[str, object]:
        """Temperatures and choice, JSON-serialisable."""
        return {
            "temperatures": [
                [name, list(pattern), value]
                for name, patterns in self.temperatures.items()
                for pattern, value in patterns.items()
            ],
            "choice": [[list(pattern), name] for pattern, name in self.choice.items()],
        }

    def set_settings(self, settings: Mapping[str, list[list[object]]]) -> None:
        """Put back what :meth:`settings` gave."""
        self.temperatures, self.choice = {}, {}
        for name, pattern, value in settings["temperatures"]:
            self.temperatures.setdefault(str(name), {})[tuple(pattern)] = float(value)  # type: ignore[arg-type]
        for pattern, name in settings["choice"]:
            self.choice[tuple(pattern)] = str(name)  # type: ignore[arg-type]


def take(embeddings: Embeddings, rows: Tensor) -> Embeddings:
    """Some rows."""
    single = {name: value[rows] for name, value in embeddings.single.items()}
    fusion = (
        single
        if embeddings.fusion is embeddings.single
        else {name: value[rows] for name, value in embeddings.fusion.items()}
    )
    return Embeddings(single, fusion, embeddings.present[rows])


@torch.inference_mode()
def calibrate_and_choose(
    model: Delivered,
    validation: Embeddings,
    targets: np.ndarray,
    metric_name: str,
    fusion_logits: Mapping[Pattern, Tensor],
) -> dict[Pattern, dict[str, float]]:
    """Fit each candidate's temperature for every pattern, then choose the best candidate of each.

    The metric decides where it can: candidates whose paired difference to the best is within one
    standard error (Breiman et al. 1984) are equal as far as the rows can tell, and among those the
    lowest log loss wins. On a hundred rows accuracy alone would choose by the luck of two of them.

    Args:
        model: Changed in place.
        validation: Embeddings of the N validation rows.
        targets: (N,) int64.
        metric_name: What the choice goes by.
        fusion_logits: (N, C) logits of the fusion by pattern where the rows have taught it
            something, made without the row itself; for other patterns the fusion is asked.

    Returns:
        Validation metric of every candidate for every pattern.
    """
    scores: dict[Pattern, dict[str, float]] = {}
    for pattern in model.patterns():
        rows = validation.present[:, model.mask(pattern)].all(1).nonzero().squeeze(1)
        if not len(rows):  # nothing to go by; the fusion has been trained for every subset
            model.choice[pattern] = FUSION if model.fused is not None else pattern[0]
            continue
        part, labels = take(validation, rows), targets[rows.numpy()]
        answers: dict[str, np.ndarray] = {}
        for name in model.candidates(pattern):
            logits = (
                fusion_logits[pattern][rows]
                if name == FUSION and pattern in fusion_logits
                else model.logits(name, part, pattern)
            ).double()
            used = (name,) if name in model.inputs else pattern
            temperature = model.temperatures.setdefault(name, {}).setdefault(
                used, fit_temperature(logits.numpy(), labels)
            )
            answers[name] = (logits / temperature).softmax(1).numpy()
        scores[pattern] = {name: metric(metric_name, labels, answer) for name, answer in answers.items()}
        model.choice[pattern] = choose(answers, labels, metric_name)
    return scores


def choose(answers: Mapping[str, np.ndarray], targets: np.ndarray, metric_name: str) -> str:
    """Name of the best of several predictions of the same rows; see :func:`calibrate_and_choose`.

    Args:
        answers: Calibrated probabilities (N, C) by candidate.
        targets: (N,) int64.
        metric_name: What the choice goes by.
    """
    losses = {name: metric("log_loss", targets, answer) for name, answer in answers.items()}
    ranks = {
        name: rank(metric_name, metric(metric_name, targets, answer), losses[name])
        for name, answer in answers.items()
    }
    best = max(ranks, key=lambda name: ranks[name])
    equals = [
        name
        for name, answer in answers.items()
        if name == best
        or not paired_gain(targets, answers[best], answer, metric_name, _RESAMPLES, _ONE_ERROR, seed=0).low
        > 0
    ]
    return min(equals, key=lambda name: losses[name])
