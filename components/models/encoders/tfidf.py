"""TF-IDF of hashed n-grams with a linear model, and their latent semantic analysis."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from torch import Tensor

from components.models.encoders.fitted import Choice, FitRows, FitTask, FittedEncoder
from components.models.linear import fit_linear, margin

_COMMON = 2  # rows that must have an n-gram, where there are enough rows
_FEW = 100  # rows below which every n-gram counts
_MOST = 40_000_000  # n-grams of all training rows together that memory is to hold; more rows are sampled
_SAMPLE = 20_000  # rows whose n-grams span the latent space
_PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Tfidf(FittedEncoder):
    """Support vector machines or ridge regression on weighted n-grams (Joachims 1998; Wang & Manning 2012).

    A row's n-grams count ``(1 + log tf) log((1 + N) / (1 + df)) + 1``, at length 1. Reduced features are the
    leading singular vectors of the training rows (latent semantic analysis, Deerwester et al. 1990).

    Args:
        buckets: Ids are in [1, buckets], 0 is padding.
        components: Most numbers of the latent semantic analysis.
    """

    columns: Tensor
    idf: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, buckets: int, components: int) -> None:
        super().__init__()
        self.buckets, self.components = buckets, components

    def learn(self, task: FitTask) -> Choice:
        """Count n-grams, fit a linear model of each target, and find the latent space."""
        counts, rows = self._sampled(task.train, task.seed)
        frequency = np.bincount(counts.indices, minlength=self.buckets + 1)  # each n-gram once per row
        common = np.flatnonzero(frequency >= (_COMMON if counts.shape[0] >= _FEW else 1))
        if not len(common):
            common = np.flatnonzero(frequency)
        columns = np.full(self.buckets + 1, -1, np.int32)
        columns[common] = np.arange(len(common), dtype=np.int32)
        idf = np.log((1 + counts.shape[0]) / (1 + frequency[common])) + 1
        self.keep(columns=torch.from_numpy(columns), idf=torch.from_numpy(idf.astype(np.float32)))
        train = self._weighted(counts[:, common])
        val = _stacked([self._matrix(batch) for batch in task.val.batches()], len(idf))
        linear = fit_linear(
            task.targets,
            train,
            {name: value[rows] for name, value in task.train.values.items()},
            val,
            task.val.values,
            classifier=margin,
            penalties=_PENALTIES,
            balanced=task.balanced,
            row_weights=None if task.row_weights is None else task.row_weights[rows],
            choice=task.choice,
        )
        space = self._latent(train, task.seed)  # (F, V)
        weight = np.concatenate([linear.weight, space]).T  # (V, K + F)
        self.keep(
            weight=torch.from_numpy(np.ascontiguousarray(weight, dtype=np.float32)),
            bias=torch.from_numpy(linear.bias.astype(np.float32)),
        )
        return linear.choice

    def describe(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Ids int64 (B, T) with mask bool (B, T) to outputs (B, K) and latent features (B, F)."""
        rows = torch.from_numpy(self._matrix(batch) @ self.weight.cpu().numpy()).to(self.bias.device)
        outputs = len(self.bias)
        return rows[:, :outputs] + self.bias, rows[:, outputs:]

    def _matrix(self, batch: dict[str, Tensor]) -> sparse.csr_array:
        """Weighted n-grams of a batch that training has, (B, V)."""
        columns = self.columns.cpu().numpy()
        ids, mask = batch["ids"].cpu().numpy(), batch["mask"].cpu().numpy()
        places = columns[ids]  # (B, T)
        known = mask & (places >= 0)
        counts = _counted(places[known], known.sum(1), len(self.idf))
        return self._weighted(counts)

    def _weighted(self, counts: sparse.csr_array) -> sparse.csr_array:
        """Weigh counts (N, V) by frequency and rarity, and bring each row to length 1."""
        data = (1 + np.log(counts.data)) * self.idf.cpu().numpy()[counts.indices]
        lengths = np.diff(counts.indptr)
        squares = np.bincount(np.repeat(np.arange(len(lengths)), lengths), data**2, len(lengths))
        data = data / np.repeat(np.sqrt(squares), lengths)
        return sparse.csr_array((data.astype(np.float32), counts.indices, counts.indptr), counts.shape)

    def _sampled(self, rows: FitRows, seed: int) -> tuple[sparse.csr_array, np.ndarray]:
        """Count n-grams (R, buckets + 1) of all rows, or of as many at random as memory is to hold."""
        draws = np.random.default_rng(seed).random(len(next(iter(rows.values.values()))))
        share, held, first = 1.0, 0, 0
        places: list[np.ndarray] = []
        parts: list[sparse.csr_array] = []
        for batch in rows.batches():
            ids, mask = batch["ids"].numpy(), batch["mask"].numpy()
            places.append(np.arange(first, first + len(ids)))
            parts.append(_counted(ids[mask], mask.sum(1), self.buckets + 1))
            first, held = first + len(ids), held + parts[-1].nnz
            while held > _MOST:
                share /= 2
                keep = [draws[each] < share for each in places]
                places = [each[those] for each, those in zip(places, keep, strict=True)]
                parts = [part[those] for part, those in zip(parts, keep, strict=True)]
                held = sum(part.nnz for part in parts)
        order = np.concatenate(places)
        inside = draws[order] < share
        return _stacked(parts, self.buckets + 1)[inside], order[inside]

    def _latent(self, train: sparse.csr_array, seed: int) -> np.ndarray:
        """Directions (F, V) of the latent semantic analysis."""
        rows = np.random.default_rng(seed).permutation(train.shape[0])[:_SAMPLE]
        size = min(self.components, len(rows) - 1, train.shape[1] - 1)
        if size < 1:
            return np.zeros((0, train.shape[1]))
        space = TruncatedSVD(size, n_iter=3, random_state=seed % 2**32).fit(train[np.sort(rows)])
        return np.asarray(space.components_)


def _stacked(parts: Sequence[sparse.csr_array], width: int) -> sparse.csr_array:
    empty = sparse.csr_array((0, width), dtype=np.float32)
    return sparse.csr_array(sparse.vstack(parts or [empty], format="csr"))


def _counted(places: np.ndarray, lengths: np.ndarray, width: int) -> sparse.csr_array:
    """Count places (n,) of rows that have ``lengths`` (B,) of them: (B, width) float32, each place once."""
    ends = np.concatenate([[0], lengths.cumsum()]).astype(np.int32)  # scikit-learn takes no int64
    ones = np.ones(len(places), np.float32)
    counts = sparse.csr_array((ones, places.astype(np.int32), ends), (len(lengths), width))
    counts.sum_duplicates()
    return counts
