"""Small rows on which encoders without gradient are fitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.config.encoders import EncoderConfig, LinearConfig, TfidfConfig, TreesConfig
from components.models.encoders import build_encoder
from components.models.encoders.fitted import Choice, FitRows, FitTask, FittedEncoder
from components.targets import AnyTarget, Head, Multilabel, Regression, Targets
from tests.components.models.encoders.test_contract import Facts

Batch = dict[str, Tensor]


def text_of(signal: np.ndarray, seed: int) -> Batch:
    """Ids (N, 12): one of three words by the signal, which is in [0, 1), among words at random."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(10, 60, (len(signal), 12))
    ids[:, 0] = ids[:, 1] = 1 + (signal * 9).astype(int)
    mask = np.arange(12) < rng.integers(4, 13, len(signal))[:, None]
    return {"ids": torch.from_numpy(ids * mask), "mask": torch.from_numpy(mask)}


def table_of(signal: np.ndarray, seed: int) -> Batch:
    """Values (N, 2 * 3 + 2) whose first number and first category follow the signal; a tenth is missing."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(len(signal), 3))
    numbers[:, 0] = np.exp(3 * signal) / 5
    flags = rng.random(numbers.shape) < 0.1
    codes = np.stack([1 + (signal * 3).astype(int), rng.integers(0, 2, len(signal))], 1)
    values = np.concatenate([np.where(flags, 0, numbers), flags, codes], 1)
    return {"values": torch.from_numpy(values).float()}


FITTED: dict[str, tuple[EncoderConfig, str, Callable[[np.ndarray, int], Batch]]] = {
    "tfidf": (TfidfConfig(buckets=59, components=5), "text", text_of),
    "trees": (TreesConfig(rounds=200), "tabular", table_of),
    "linear": (LinearConfig(components=4), "tabular", table_of),
}


def drawn(target: AnyTarget, rows: int, seed: int, share: float = 1.0) -> tuple[np.ndarray, Tensor]:
    """A signal (N,) in [0, 1) and the target's values that follow from it; ``share`` of the rows have one."""
    rng = np.random.default_rng(seed)
    signal = rng.random(rows)
    known = rng.random(rows) < share
    match target:
        case Regression():
            values: Any = np.where(known, target.mean + target.std * (signal - 0.5) * np.sqrt(12), np.nan)
        case Multilabel():
            edges = (np.arange(target.width) + 1) / (target.width + 1)
            values = (signal[:, None] < edges).astype(float)
            values[~known] = np.nan
        case _:
            values = np.where(known, (signal * target.width).astype(np.int64), -1)
    return signal, torch.from_numpy(values)


def rows_of(name: str, targets: Targets, rows: int, seed: int, share: float = 1.0) -> tuple[FitRows, Batch]:
    """Rows whose input tells every target, as a fit takes them, and all of them as one batch."""
    values = {}
    for target in targets:
        signal, values[target.name] = drawn(target, rows, seed, share)
    batch = FITTED[name][2](signal, seed)

    def batches() -> list[Batch]:
        return [
            {key: value[places] for key, value in batch.items()} for places in torch.arange(rows).split(64)
        ]

    return FitRows(batches, values), batch


def fresh(name: str) -> FittedEncoder:
    config, modality, _ = FITTED[name]
    encoder = build_encoder(config, Facts(modality))
    assert isinstance(encoder, FittedEncoder)
    return encoder


def fit(
    name: str, targets: Targets, rows: int = 240, share: float = 1.0, **options: Any
) -> tuple[FittedEncoder, Head, Choice]:
    """Fit an encoder to rows; ``options`` are those of the task."""
    encoder = fresh(name)
    train, val = (
        rows_of(name, targets, count, seed, share)[0] for seed, count in ((0, rows), (1, rows // 2))
    )
    task = FitTask(targets, train, val, **{"balanced": False, "seed": 0, **options})
    head, choice = encoder.fit_rows(task)
    return encoder, head, choice
