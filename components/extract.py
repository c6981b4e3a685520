"""Extract features of one input: canonical samples through the encoder, only those not there yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from components.config.encoders import PretrainedConfig
from components.config.pipeline import PipelineConfig
from components.data.ingest import Dataset
from components.embedder import Embedder
from components.encoder_weights import open_encoder, open_preprocessor
from components.references import EncoderWeights, Features, Prepared
from components.samples import read_digests
from components.storage.digest import digest
from components.storage.shards import ShardStore
from components.training.device import choose_device, embedding_format

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
    options = config.inputs[name]
    _, digests = read_digests(dataset, name)
    rows = len(digests)
    device = choose_device(config.engine.device)
    numbers = embedding_format(options.fit.precision, device, isinstance(options.encoder, PretrainedConfig))
    store = ShardStore(cache / f"{name}-{digest(prepared.fingerprint, weights.digest, numbers)}", "parquet")
    missing = digests[store.absent(digests)]
    del digests  # what is held is what is to be done
    progress(0, len(missing))
    if missing:
        preprocessor = open_preprocessor(prepared)
        encoder = open_encoder(weights, options.encoder, preprocessor)
        embedder = Embedder(encoder, preprocessor, device, numbers)
        canonical = ShardStore(Path(prepared.store), "arrow")
        missing = missing[canonical.in_order(missing)]  # a shard after the other
        samples = canonical.rows(missing, most_open=_OPEN)
        shards = [
            range(start, min(start + config.engine.shard_rows, len(missing)))
            for start in range(0, len(missing), config.engine.shard_rows)
        ]
        groups = ([samples[row] for row in shard] for shard in shards)
        for shard, embeddings in zip(shards, embedder.stream(groups), strict=True):
            store.append(missing[shard.start : shard.stop], embeddings)
            progress(shard.stop, len(missing))
    return Features(weights, str(store.folder), rows, len(missing))
