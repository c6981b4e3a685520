"""Extract features of one input: canonical samples through the encoder, only those not there yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from components.config.pipeline import PipelineConfig
from components.data.ingest import Dataset
from components.encoder_weights import open_encoder, open_preprocessor
from components.references import EncoderWeights, Features, Prepared
from components.samples import read_digests
from components.storage.digest import digest
from components.storage.shards import ShardStore
from components.training.device import choose_device, number_format, precision

_BATCH = 128
_OPEN = 2  # shards of canonical samples


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
    _, digests = read_digests(dataset, name)
    rows = len(digests)
    device = choose_device(config.engine.device)
    numbers = number_format(config.inputs[name].fit.precision, device)
    store = ShardStore(cache / f"{name}-{digest(prepared.fingerprint, weights.digest, numbers)}", "parquet")
    missing = digests[store.absent(digests)]
    del digests  # what is held is what is to be done
    progress(0, len(missing))
    if missing:
        preprocessor = open_preprocessor(prepared)
        encoder = open_encoder(weights, config.inputs[name].encoder, preprocessor).to(device)
        canonical = ShardStore(Path(prepared.store), "arrow")
        missing = missing[canonical.in_order(missing)]  # a shard after the other
        samples = canonical.rows(missing, most_open=_OPEN)
        with torch.inference_mode():
            for start in range(0, len(missing), config.engine.shard_rows):
                stop = min(start + config.engine.shard_rows, len(missing))
                embeddings: list[np.ndarray] = []
                for first in range(start, stop, _BATCH):
                    batch = preprocessor.collate(
                        [samples[row] for row in range(first, min(first + _BATCH, stop))]
                    )
                    with precision(numbers, device):
                        embedding = encoder({key: value.to(device) for key, value in batch.items()})
                    embeddings.extend(without_padding(embedding.float().cpu().numpy()))
                store.append(missing[start:stop], embeddings)
                progress(stop, len(missing))
    return Features(weights, str(store.folder), rows, len(missing))


def without_padding(embeddings: np.ndarray) -> list[np.ndarray]:
    """Rows of (B, D) as they are; of (B, T, D) without the zero vectors behind the last real token."""
    if embeddings.ndim == 2:
        return list(embeddings)
    real = (embeddings != 0).any(axis=2)  # (B, T)
    lengths = np.where(real.any(axis=1), real.shape[1] - real[:, ::-1].argmax(axis=1), 1)
    return [row[:length] for row, length in zip(embeddings, lengths, strict=True)]
