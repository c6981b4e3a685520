"""Sources of batches: cached embeddings on the device, or canonical samples through a collator."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from components.config import InputConfig
from components.data.samples import load_embeddings, presence
from components.models.networks import Batch, Part
from components.models.weights import open_preprocessor
from components.objectives.supervised import WEIGHT
from components.preprocess import Preprocessor
from components.preprocess.augment import AUGMENTS
from components.references import Features, Prepared
from components.storage.shards import Rows, ShardStore
from components.targets import Targets


class Source(Protocol):
    """Rows by position; ``targets`` and ``present`` as in :class:`Batch`, of all rows. ``ids`` name them."""

    @property
    def targets(self) -> Mapping[str, Tensor]: ...

    @property
    def present(self) -> Tensor: ...

    @property
    def ids(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def batch(self, positions: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Rows at ``positions`` (int64, on the CPU); augmented where a generator is given."""
        ...


class EmbeddingSource:
    """Embeddings held on the device: a batch is an index operation.

    Args:
        embeddings: (N, ...) for each input; rows in which it is absent hold anything.
        present: (N, M) bool.
        targets: (N,) or (N, L) by target.
        ids: Names of the rows, for messages; by default their numbers.
    """

    def __init__(
        self,
        embeddings: Mapping[str, Tensor],
        present: Tensor,
        targets: Mapping[str, Tensor],
        device: torch.device,
        ids: Sequence[str] | None = None,
    ) -> None:
        self.ids = ids if ids is not None else [str(row) for row in range(len(present))]
        self.embeddings = {name: value.to(device) for name, value in embeddings.items()}
        self.present = present.to(device)
        self.targets = {name: value.to(device) for name, value in targets.items()}

    def __len__(self) -> int:
        return len(self.present)

    def batch(self, positions: Tensor, generator: torch.Generator | None = None) -> Batch:
        positions = positions.to(self.present.device)
        embeddings = {name: value[positions] for name, value in self.embeddings.items()}
        return Batch(embeddings, self.present[positions], _take(self.targets, positions))


class SampleSource:
    """Canonical samples read from mapped shards as they are needed.

    Args:
        rows: Random access to the samples of each input; row ``place[i]`` of it is sample i.
        places: For each input, (N,) int64: position in ``rows``, or -1 where the input is absent.
        preprocessors: Puts rows of an input together.
        configs: Says how each input is augmented.
        targets: (N,) or (N, L) by target.
        ids: Names of the rows, for messages.
    """

    def __init__(
        self,
        rows: Mapping[str, Rows],
        places: Mapping[str, Tensor],
        preprocessors: Mapping[str, Preprocessor],
        configs: Mapping[str, InputConfig],
        targets: Mapping[str, Tensor],
        device: torch.device,
        ids: Sequence[str],
    ) -> None:
        self.ids = ids
        self._rows, self._places, self._preprocessors, self._configs = rows, places, preprocessors, configs
        self._device = device
        self.inputs = tuple(sorted(rows))
        self.present = torch.stack([places[name] >= 0 for name in self.inputs], dim=1)  # (N, M)
        self.targets = targets

    def __len__(self) -> int:
        return len(self.present)

    def batch(self, positions: Tensor, generator: torch.Generator | None = None) -> Batch:
        inputs = {}
        for name in self.inputs:
            places = self._places[name][positions]
            known = (places >= 0).nonzero().squeeze(1)
            if len(known):
                samples = [self._rows[name][position] for position in places[known].tolist()]
                inputs[name] = Part(self._collate(name, samples, generator), known.to(self._device))
        targets = {name: value.to(self._device) for name, value in _take(self.targets, positions).items()}
        return Batch(inputs, self.present[positions].to(self._device), targets)

    def _collate(
        self, name: str, rows: Sequence[Any], generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        batch = self._preprocessors[name].collate(rows)
        batch = {key: value.to(self._device, non_blocking=True) for key, value in batch.items()}
        if generator is None:
            return batch
        config = self._configs[name]
        return AUGMENTS[config.modality](batch, config.augment, generator)


class WithFurther:
    """A source whose batches carry further tensors.

    Args:
        source: Where all else comes from.
        further: (N, ...) by name.
        device: Where batches go.
    """

    def __init__(self, source: Source, further: Mapping[str, Tensor], device: torch.device) -> None:
        self._source, self._further, self._device = source, further, device
        self.targets, self.present, self.ids = source.targets, source.present, source.ids

    def __len__(self) -> int:
        return len(self._source)

    def batch(self, positions: Tensor, generator: torch.Generator | None = None) -> Batch:
        batch = self._source.batch(positions, generator)
        further = {name: value.to(self._device) for name, value in _take(self._further, positions).items()}
        return replace(batch, further={**batch.further, **further})


def weigh(source: Source, weights: np.ndarray | None, device: torch.device) -> Source:
    """Give the rows of a source their weights (N,), float32; None gives them none."""
    return source if weights is None else WithFurther(source, {WEIGHT: torch.from_numpy(weights)}, device)


def open_embeddings(
    samples: pd.DataFrame, features: Mapping[str, Features], targets: Targets, device: torch.device
) -> EmbeddingSource:
    """Cached embeddings of some rows of the samples table."""
    embeddings = {name: load_embeddings(samples, name, feature) for name, feature in features.items()}
    known = torch.from_numpy(presence(samples, list(features)))
    return EmbeddingSource(embeddings, known, targets.encode(samples), device, samples["id"].tolist())


def open_samples(
    samples: pd.DataFrame,
    prepared: Mapping[str, Prepared],
    configs: Mapping[str, InputConfig],
    targets: Targets,
    device: torch.device,
) -> SampleSource:
    """Canonical samples of some rows of the samples table."""
    rows, places = {}, {}
    for name, reference in prepared.items():
        digests = samples[f"{name}.digest"]
        known = torch.tensor(digests.notna().to_numpy())
        rows[name] = ShardStore(Path(reference.store), "arrow").rows(digests.dropna().tolist())
        places[name] = torch.where(known, known.cumsum(0) - 1, -1)
    preprocessors = {name: open_preprocessor(reference) for name, reference in prepared.items()}
    return SampleSource(
        rows, places, preprocessors, configs, targets.encode(samples), device, samples["id"].tolist()
    )


def open_embedding_splits(
    samples: pd.DataFrame, features: Mapping[str, Features], targets: Targets, device: torch.device
) -> tuple[Source, Source]:
    """Training and validation rows of :func:`open_embeddings`."""
    train, val = (samples[samples["split"] == split] for split in ("train", "val"))
    return open_embeddings(train, features, targets, device), open_embeddings(val, features, targets, device)


def open_sample_splits(
    samples: pd.DataFrame,
    prepared: Mapping[str, Prepared],
    configs: Mapping[str, InputConfig],
    targets: Targets,
    device: torch.device,
) -> tuple[Source, Source]:
    """Training and validation rows of :func:`open_samples`."""
    train, val = (samples[samples["split"] == split] for split in ("train", "val"))
    return (
        open_samples(train, prepared, configs, targets, device),
        open_samples(val, prepared, configs, targets, device),
    )


def _take(values: Mapping[str, Tensor], positions: Tensor) -> dict[str, Tensor]:
    return {name: value[positions] for name, value in values.items()}
