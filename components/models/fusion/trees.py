"""Early fusion by boosted trees: predictions and reduced embeddings of the inputs, an absent one missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from components.models.boosting import Boosting, Choice, Forest, Table
from components.models.fusion.masking import as_vector
from components.models.fusion.protocol import Fusion
from components.targets import Head, Targets

_LEAVES = (7,)
_COPIES = 4  # of a row, the first with all that it has
_ROWS_PER_DIRECTION = 20
_SPAN = 5_000  # rows that span the directions


@dataclass(frozen=True)
class EmbeddedRows:
    """N rows as a fusion takes them.

    Attributes:
        embeddings: (N, D_m) or (N, T_m, D_m) by input.
        present: (N, M) bool.
        values: (N,) or (N, L) by target.
    """

    embeddings: Mapping[str, Tensor]
    present: Tensor
    values: Mapping[str, Tensor]


class Reduction(nn.Module):
    """Columns of an embedding: some as they are, and the principal components of the others.

    Args:
        width: Length D of the embedding.
    """

    columns: Tensor  # (C,) int64
    mean: Tensor  # (D,)
    directions: Tensor  # (D, d)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("columns", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("directions", torch.zeros(width, 0))

    def learn(self, vectors: Tensor, columns: Sequence[int], most: int, seed: int) -> None:
        """Learn the components from training rows that have the input.

        Args:
            vectors: (n, D).
            columns: Positions that stay as they are.
            most: Most components; no more than one per 20 rows.
            seed: Seed of the sample of rows.
        """
        rows = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:_SPAN])
        others = np.setdiff1d(np.arange(vectors.shape[1]), columns)
        sample = vectors[rows].double().numpy()[:, others]
        count = min(most, len(vectors) // _ROWS_PER_DIRECTION, len(others))
        directions = np.zeros((vectors.shape[1], count))
        mean = np.zeros(vectors.shape[1])
        if count:
            mean[others] = sample.mean(0)
            deviation = sample.std(0)
            weight = np.where(deviation > 1e-6, 1 / np.where(deviation > 1e-6, deviation, 1.0), 0.0)
            space = PCA(count, random_state=seed % 2**32).fit((sample - mean[others]) * weight)
            directions[others] = weight[:, None] * space.components_.T
        self.columns = torch.tensor(list(columns), dtype=torch.int64)
        self.mean, self.directions = torch.from_numpy(mean).float(), torch.from_numpy(directions).float()

    def forward(self, vectors: Tensor) -> Tensor:
        """Reduce (B, D) to (B, C + d)."""
        return torch.cat([vectors[:, self.columns], (vectors - self.mean) @ self.directions], dim=1)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("columns", "mean", "directions"):
            if prefix + name in state_dict:
                self.register_buffer(name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *rest)


class TreeFusion(Fusion):
    """LightGBM (Ke et al. 2017) on what each input predicts and on its reduced embedding.

    Columns of an embedding that hold a quantity each, such as a number of a table, stay as they are; the
    others are reduced to principal components. All columns of an absent input are missing, which trees
    handle. In training each row comes four times, and the copies have inputs hidden at random, so that every
    subset of the inputs is learned. Nothing here has a gradient: it is fitted in one pass by :meth:`learn`.

    Args:
        widths: Length D_m of each input's embedding.
        targets: What is predicted.
        rounds: Most rounds.
        learning_rate: Shrinkage of each round.
        components: Most principal components of an input.

    Shape:
        embeddings: (B, D_m) or (B, T_m, D_m) each; present: (B, M) bool, columns in the order of
        :attr:`inputs`; result: (B, K) natural parameters, so the head behind it is the identity.
    """

    decides = True

    def __init__(
        self, widths: Mapping[str, int], targets: Targets, rounds: int, learning_rate: float, components: int
    ) -> None:
        super().__init__()
        self.inputs = tuple(sorted(widths))
        self.width = targets.width
        self.targets = targets
        self.rounds, self.learning_rate, self.components = rounds, learning_rate, components
        self.heads = nn.ModuleDict({name: Head(widths[name], targets) for name in self.inputs})
        self.heads.requires_grad_(False)
        self.reductions = nn.ModuleDict({name: Reduction(widths[name]) for name in self.inputs})
        self.forest = Forest(targets.width)

    @torch.no_grad()
    def learn(
        self,
        train: EmbeddedRows,
        val: EmbeddedRows,
        columns: Mapping[str, Sequence[int]],
        *,
        hide: float,
        seed: int,
        weights: np.ndarray | None = None,
        choice: Choice | None = None,
    ) -> Choice:
        """Fit the trees; the heads are those of the single inputs and stay.

        Args:
            train: Rows to learn from, which no encoder has learned from.
            val: Rows to stop by.
            columns: By input, positions in its embedding that stay as they are.
            hide: Probability of hiding each input of a copy.
            seed: Seed of every random draw.
            weights: (N,) weights of the training rows, with mean 1; None weighs all alike.
            choice: What another fit has chosen; None chooses by ``val``.
        """
        for number, name in enumerate(self.inputs):
            has = as_vector(train.embeddings[name])[train.present[:, number]]
            reduction = self.reductions[name]
            assert isinstance(reduction, Reduction)
            reduction.learn(has.float(), columns[name], self.components, seed)
        options = Boosting(self.rounds, self.learning_rate, _LEAVES, seed, repeats=_COPIES)
        learned, stopped = (self._copies(rows, hide, seed) for rows in (train, val))
        repeated = None if weights is None else np.tile(weights, _COPIES)
        return self.forest.learn(self.targets, learned, stopped, options, repeated, choice)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        natural: Tensor = self.targets.natural(self.forest(self.table(embeddings, present)))
        return natural.to(present.device)

    def shares(self) -> dict[str, float]:
        """Share of the gain of all splits that each input has, in the order of :attr:`inputs`."""
        sizes = [each.stop - each.start for each in self._slices()]
        gains = self.forest.gains
        parts = np.split(gains, np.cumsum(sizes)[:-1]) if len(gains) else [np.zeros(1)] * len(sizes)
        total = max(float(gains.sum()), 1e-12)
        return {name: float(part.sum()) / total for name, part in zip(self.inputs, parts, strict=True)}

    @torch.no_grad()
    def table(self, embeddings: Mapping[str, Tensor], present: Tensor) -> np.ndarray:
        """Columns of all inputs, (B, F) float64, NaN where an input is absent."""
        result = []
        for number, name in enumerate(self.inputs):
            vectors = as_vector(embeddings[name]).float()  # (B, D)
            natural = self.heads[name](vectors)
            decisions = torch.cat(
                [
                    target.predict(target.proper(natural[:, part].double()))
                    for target, part in zip(self.targets, self.targets.slices.values(), strict=True)
                ],
                dim=1,
            )
            columns = torch.cat([decisions, self.reductions[name](vectors).double()], dim=1)
            absent = ~present[:, [number]].to(columns.device)
            result.append(columns.masked_fill(absent, float("nan")).cpu().numpy())
        return np.concatenate(result, axis=1)

    def _slices(self) -> list[slice]:
        decided = sum(len(target.columns) for target in self.targets)
        sizes = [
            decided + len(each.columns) + each.directions.shape[1]
            for each in self.reductions.values()
            if isinstance(each, Reduction)
        ]
        ends = np.cumsum(sizes).tolist()
        return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]

    def _copies(self, rows: EmbeddedRows, hide: float, seed: int) -> Table:
        """Rows with all that they have, and copies with inputs hidden; one input stays."""
        whole, present = self.table(rows.embeddings, rows.present), rows.present.numpy()
        rng = np.random.default_rng(seed)
        copies = [whole]
        for _ in range(_COPIES - 1):
            stays = np.where(present, rng.random(present.shape), -1.0).argmax(1)
            shown = present & (rng.random(present.shape) >= hide)
            shown[np.arange(len(present)), stays] = True
            copy = whole.copy()
            for number, part in enumerate(self._slices()):
                copy[~shown[:, number], part] = np.nan
            copies.append(copy)
        values = {
            name: value.repeat(_COPIES, *[1] * (value.dim() - 1)) for name, value in rows.values.items()
        }
        return Table(np.concatenate(copies), values)
