"""Put together what the fits of all folds give for the rows that each has not seen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import RidgeCV

from components.config.pipeline import PipelineConfig
from components.data.samples import learning_rows, transfer_rows
from components.models.fusion.masking import as_vector, token_mask
from components.models.weights import read_tensors
from components.pipeline.extract import extract
from components.pipeline.folds import content_folds
from components.references import Dataset, Features, OutOfFold, Prepared, Single
from components.storage.closure import code_digest
from components.storage.digest import digest
from components.storage.index import Digests
from components.storage.shards import ShardStore
from components.targets import Head
from components.training.checkpoint import read_history

_PENALTIES = np.logspace(-2, 5, 15)


def cross_fit(
    dataset: Dataset,
    prepared: Prepared,
    features: Features,
    fits: Sequence[Single],
    config: PipelineConfig,
    cache: Path,
) -> OutOfFold:
    """Embed and predict each training row of an input by the fit that has not seen it.

    Each fit has a space of its own. A ridge regression brings it into that of the encoder that is delivered;
    it is learned from the validation rows, which neither has learned from, without their labels. A frozen
    encoder has seen no label, so its embeddings are taken as they are.

    Args:
        dataset: Reference to the samples.
        prepared: Canonical samples of the input.
        features: Embeddings by the encoder that is delivered.
        fits: The fit without each fold.
        config: The whole pipeline.
        cache: Folder of the feature stores.
    """
    name = prepared.input
    samples = learning_rows(dataset, [name])
    spare = transfer_rows(dataset, [name])[f"{name}.digest"].drop_duplicates().tolist()
    train = samples[samples["split"].eq("train")]
    contents = train[f"{name}.digest"]
    numbers = content_folds(dataset, train, name, len(fits))
    between = samples.loc[samples["split"].eq("val"), f"{name}.digest"].drop_duplicates().tolist()
    heads = [Path(fit.head).parent.name for fit in fits]
    key = digest(Path(features.store).name, *heads, *between, *spare, code_digest(cross_fit))
    delivered = ShardStore(Path(features.store), "parquet")
    embedded = ShardStore(cache / f"{name}-folds-{key}", "parquet")
    natural = ShardStore(cache / f"{name}-natural-{key}", "parquet")
    for number, fit in enumerate(fits):
        held = contents[numbers == number].drop_duplicates().tolist()
        if not held or not (embedded.missing(held) or natural.missing(held)):
            continue
        own, vectors = delivered, delivered.stack(held)
        if fit.encoder.digest != features.encoder.digest:
            both = Digests.of([held, between])
            own = ShardStore(
                Path(extract(dataset, prepared, fit.encoder, config, cache, only=both).store), "parquet"
            )
            vectors = _moved(own.stack(held), own.stack(between), delivered.stack(between))
        head = Head(fit.encoder.width, dataset.targets)
        head.load_state_dict(read_tensors(Path(fit.head), fit.prefix))
        with torch.no_grad():
            natural.append(held, head(as_vector(torch.from_numpy(own.stack(held)))).numpy())
        embedded.append(held, vectors)
    # Content that training rows share has been given already. No encoder has seen rows without a target.
    if rest := embedded.missing(list(dict.fromkeys([*between, *spare]))):
        embedded.append(rest, delivered.stack(rest))
    store = Features(features.encoder, str(embedded.folder), features.rows, 0)
    folders = [fit.training.folder for fit in fits if fit.training is not None]
    seconds = sum(epoch.seconds for folder in folders for epoch in read_history(folder))
    return OutOfFold(store, str(natural.folder), seconds)


def _moved(values: np.ndarray, own: np.ndarray, delivered: np.ndarray) -> np.ndarray:
    """Bring embeddings from the space of one fit into that of another.

    Args:
        values: (N, D) or (N, T, D) of the rows to move.
        own: (V, ...) of the rows between, in the space of ``values``.
        delivered: (V, ...) of the same rows in the other space.

    Returns:
        (N, D') or (N, T, D'), with the width of the other space; padding stays zero.
    """
    source, target = (as_vector(torch.from_numpy(each)).numpy() for each in (own, delivered))
    move = RidgeCV(_PENALTIES).fit(source, target)
    tokens = values.reshape(-1, values.shape[-1])
    moved = move.predict(tokens).astype(np.float32)
    if values.ndim == 3:
        moved[~token_mask(torch.from_numpy(tokens)).numpy()] = 0.0
    return moved.reshape(*values.shape[:-1], moved.shape[-1])
