"""Extract features of one input: canonical samples through the encoder, only those not there yet."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from components.config import PipelineConfig, PretrainedConfig
from components.data.samples import open_samples_table
from components.engine import open_engine
from components.inference.embedder import Embedder
from components.models.weights import open_encoder, open_preprocessor
from components.references import Dataset, EncoderWeights, Features, Prepared
from components.runtime.device import choose_device, embedding_format
from components.storage.digest import digest
from components.storage.index import Digests
from components.storage.shards import ShardStore


def extract(
    dataset: Dataset,
    prepared: Prepared,
    weights: EncoderWeights,
    config: PipelineConfig,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    only: Digests | None = None,
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
        only: Contents that are wanted; None embeds those of all rows.
    """
    name = prepared.input
    options = config.inputs[name]
    digests = open_samples_table(dataset).digests(name)[1] if only is None else only
    rows = len(digests)
    engine = open_engine(config.engine)
    pretrained = isinstance(weights.options, PretrainedConfig)
    numbers = engine.ask(lambda device: embedding_format(options.fit.precision, device, pretrained))
    store = ShardStore(cache / f"{name}-{digest(prepared.fingerprint, weights.digest, numbers)}", "parquet")
    missing = digests[store.absent(digests)]
    del digests  # what is held is what is to be done
    progress(0, len(missing))
    if missing:
        canonical = ShardStore(Path(prepared.store), "arrow")
        todo = _Places(canonical, missing[canonical.in_order(missing)])  # a shard after the other
        make = partial(Extraction, prepared, weights, config.engine.device, numbers, store.folder)
        done = 0
        for more in engine.shards(make, todo, config.engine.shard_rows, network=True):
            done += more
            progress(done, len(todo))
    return Features(weights, str(store.folder), rows, len(missing))


class _Places:
    """Canonical samples as rows of a table: key, shard and row, looked up where they are asked for."""

    def __init__(self, store: ShardStore, keys: Digests) -> None:
        self._store, self._keys = store, keys

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, part: slice) -> pd.DataFrame:
        keys = self._keys[part]
        places = self._store.places(keys)
        return pd.DataFrame(places, columns=["shard", "row"]).assign(key=list(keys))


class Extraction:
    """Turns canonical samples into shards of features: the same function on one machine and on many.

    Args:
        prepared: The samples' canonical form.
        weights: Encoder.
        device: As ``engine.device`` has it.
        numbers: Number format of the forward pass.
        folder: Of the features' store.
    """

    def __init__(
        self,
        prepared: Prepared,
        weights: EncoderWeights,
        device: str,
        numbers: str,
        folder: Path,
    ) -> None:
        preprocessor = open_preprocessor(prepared)
        encoder = open_encoder(weights, preprocessor)
        self._embedder = Embedder(encoder, preprocessor, choose_device(device), numbers)
        self._samples = ShardStore(Path(prepared.store), "arrow")
        self._store = ShardStore(folder, "parquet")

    def __call__(self, shards: Iterable[pd.DataFrame]) -> Iterator[int]:
        """Embed and write shards (columns key, shard, row); while one is written, the next is embedded."""
        keys: deque[list[str]] = deque()

        def groups() -> Iterator[list[np.ndarray]]:
            for shard in shards:
                keys.append(shard["key"].tolist())
                rows = self._samples.rows_at(list(zip(shard["shard"], shard["row"], strict=True)))
                yield [rows[row] for row in range(len(rows))]

        for embeddings in self._embedder.stream(groups()):
            done = keys.popleft()
            self._store.append(done, embeddings)
            yield len(done)
