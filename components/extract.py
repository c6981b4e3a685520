"""Extract features of one input: canonical samples through the encoder, only those not there yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from components.config.encoders import EncoderConfig
from components.config.pipeline import PipelineConfig
from components.data.ingest import Dataset
from components.encoder_weights import open_encoder, open_preprocessor
from components.engine import open_engine
from components.references import EncoderWeights, Features, Prepared
from components.samples import read_samples
from components.storage.digest import digest
from components.storage.shards import ShardStore
from components.training.device import choose_device, number_format, precision

_BATCH = 128


def extract(
    dataset: Dataset,
    prepared: Prepared,
    weights: EncoderWeights,
    config: PipelineConfig,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Features:
    """Embed the samples of one input.

    A feature's key is the digest of sample, preprocessing, encoder and number format: the store's
    folder is named by the last three, its rows by the first.

    Args:
        dataset: Reference to the samples.
        prepared: Their canonical form.
        weights: Encoder.
        config: The whole pipeline.
        cache: Folder of the feature stores.
        progress: Called with rows done and rows to do.
    """
    name = prepared.input
    digests = read_samples(dataset, [name])[f"{name}.digest"].dropna()
    engine = open_engine(config.engine)
    numbers = engine.ask(partial(number_format, config.inputs[name].fit.precision))
    store = ShardStore(cache / f"{name}-{digest(prepared.fingerprint, weights.digest, numbers)}", "parquet")
    missing = store.missing(digests)
    progress(0, len(missing))
    if missing:
        places = ShardStore(Path(prepared.store), "arrow").places(missing)
        todo = pd.DataFrame(places, columns=["shard", "row"]).assign(key=missing)
        make = partial(
            Extraction,
            prepared,
            weights,
            config.inputs[name].encoder,
            config.engine.device,
            numbers,
            store.folder,
        )
        done = 0
        for rows in engine.shards(make, todo, config.engine.shard_rows, network=True):
            done += rows
            progress(done, len(missing))
    return Features(weights, str(store.folder), len(digests), len(missing))


class Extraction:
    """Turns canonical samples into shards of features: the same function on one machine and on many.

    Args:
        prepared: The samples' canonical form.
        weights: Encoder.
        config: Its options.
        device: As ``engine.device`` has it.
        numbers: Number format of the forward pass.
        folder: Of the features' store.
    """

    def __init__(
        self,
        prepared: Prepared,
        weights: EncoderWeights,
        config: EncoderConfig,
        device: str,
        numbers: str,
        folder: Path,
    ) -> None:
        self._device, self._numbers = choose_device(device), numbers
        self._preprocessor = open_preprocessor(prepared)
        self._encoder = open_encoder(weights, config, self._preprocessor).to(self._device)
        self._samples = ShardStore(Path(prepared.store), "arrow")
        self._folder = folder

    def __call__(self, shards: Iterable[pd.DataFrame]) -> Iterator[int]:
        """Embed and write shards with the columns key, shard and row (where the canonical sample is)."""
        for shard in shards:
            embeddings = self._embed(shard)
            ShardStore(self._folder, "parquet").append(shard["key"].tolist(), embeddings)
            yield len(shard)

    @torch.inference_mode()
    def _embed(self, shard: pd.DataFrame) -> list[np.ndarray]:
        rows = self._samples.rows_at(list(zip(shard["shard"], shard["row"], strict=True)))
        embeddings: list[np.ndarray] = []
        for first in range(0, len(rows), _BATCH):
            batch = self._preprocessor.collate(
                [rows[row] for row in range(first, min(first + _BATCH, len(rows)))]
            )
            with precision(self._numbers, self._device):
                embedding = self._encoder({key: value.to(self._device) for key, value in batch.items()})
            embeddings.extend(without_padding(embedding.float().cpu().numpy()))
        return embeddings


def without_padding(embeddings: np.ndarray) -> list[np.ndarray]:
    """Rows of (B, D) as they are; of (B, T, D) without the zero vectors behind the last real token."""
    if embeddings.ndim == 2:
        return list(embeddings)
    real = (embeddings != 0).any(axis=2)  # (B, T)
    lengths = np.where(real.any(axis=1), real.shape[1] - real[:, ::-1].argmax(axis=1), 1)
    return [row[:length] for row, length in zip(embeddings, lengths, strict=True)]
