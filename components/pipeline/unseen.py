"""Rows that fusion, choice and calibration learn from: those that the fits have not learned from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from components.data.parts import Parts, independent_parts
from components.data.samples import learning_rows, load_embeddings, open_samples_table, presence
from components.models.fusion.masking import as_vector
from components.models.weights import read_tensors
from components.pipeline.folds import fold_numbers
from components.references import Dataset, Features, OutOfFold, Single
from components.storage.shards import ShardStore
from components.targets import Head

_FOLDS = 5


@dataclass(frozen=True)
class UnseenRows:
    """Rows with what each input's fit says of them without having learned from them.

    Attributes:
        samples: N rows of the samples table: the training rows out of fold, or without folds the validation
            rows.
        present: (N, M) bool, columns in sorted order of the names.
        natural: (N, K) natural parameters by input, zeros where it is absent.
        values: Encoded values (N, ...) by target.
        folds: (N,) int64: number of the fold of each row, for what is learned from the other folds.
        parts: (N,) int64: number of the independent part of each row, for intervals and conformal sets.
    """

    samples: pd.DataFrame
    present: Tensor
    natural: dict[str, Tensor]
    values: dict[str, Tensor]
    folds: np.ndarray
    parts: Parts


def open_unseen(
    dataset: Dataset,
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
    unseen: Mapping[str, OutOfFold],
    folds: int,
) -> UnseenRows:
    """Read what the fits say of rows that they have not learned from.

    Args:
        dataset: Reference to the samples.
        features: Embeddings by input.
        singles: The fits of the single inputs.
        unseen: The training rows out of fold, by input; empty without folds.
        folds: Number of folds; 0 without.
    """
    names = sorted(features)
    samples = learning_rows(dataset, names)
    samples = samples[samples["split"].eq("train" if unseen else "val")]
    natural = {}
    for name in names:
        if unseen:
            digests = samples[f"{name}.digest"]
            every = np.zeros((len(samples), dataset.targets.width), np.float32)
            every[digests.notna()] = ShardStore(Path(unseen[name].natural), "parquet").stack(
                digests.dropna().tolist()
            )
            natural[name] = torch.from_numpy(every)
        else:
            head = Head(singles[name].encoder.width, dataset.targets)
            head.load_state_dict(read_tensors(Path(singles[name].head), singles[name].prefix))
            with torch.no_grad():
                natural[name] = head(as_vector(load_embeddings(samples, name, features[name])))
    return UnseenRows(
        samples,
        torch.from_numpy(presence(samples, names)),
        natural,
        dataset.targets.encode(samples),
        fold_numbers(dataset, samples, names, folds or _FOLDS),
        independent_parts(open_samples_table(dataset), samples, names),
    )
