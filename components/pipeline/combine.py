"""Make one of several encoders of an input: weights learned out of fold, those without weight dropped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from components.config import PipelineConfig
from components.config.encoders import CompositeConfig
from components.data.samples import learning_rows, open_samples_table
from components.models.encoders import build_encoder
from components.models.encoders.composite import Composite
from components.models.fusion.masking import as_vector
from components.models.weights import (
    encoder_digest,
    open_encoder,
    open_preprocessor,
    own_tensors,
    read_tensors,
)
from components.pipeline.folds import content_folds
from components.pipeline.train_once import is_trained
from components.pipeline.unseen import open_unseen
from components.preprocess import fingerprint
from components.preprocess.composite import CompositePreprocessor, pack
from components.references import (
    Combined,
    Dataset,
    EncoderWeights,
    Features,
    Learner,
    LearnerScore,
    OutOfFold,
    Prepared,
    Refit,
    Single,
)
from components.storage.atomic import write_json
from components.storage.closure import code_digest
from components.storage.digest import digest, digest_json, digest_tensors
from components.storage.shards import ShardStore
from components.storage.tensors import save_tensors
from components.storage.work import work
from components.targets import AnyTarget, Head, Targets, metric
from components.training.checkpoint import read_history
from components.training.loop import BEST
from components.training.mixture import Mixture, learn_mixture

_PARTS = 5  # of the rows, for weights from the other parts


@dataclass(frozen=True)
class Fitted:
    """One learner of an input, as references.

    Attributes:
        learner: Its encoder and label.
        prepared: Canonical samples.
        features: Embeddings.
        single: Encoder and head.
        unseen: Training rows out of fold; None without folds.
    """

    learner: Learner
    prepared: Prepared
    features: Features
    single: Single
    unseen: OutOfFold | None


def combine(dataset: Dataset, fitted: Sequence[Fitted], config: PipelineConfig, cache: Path) -> Combined:
    """Weigh the learners of an input on rows that they have not learned from, and join those with weight.

    With folds these are the training rows. Without, they are the validation rows, by which trainings were
    stopped. A learner without weight for any target is dropped, so the delivered model does not pay for it.

    Args:
        dataset: Reference to the samples.
        fitted: At least two learners of one input.
        config: The whole pipeline.
        cache: Folder of canonical samples, features and trainings.
    """
    name = fitted[0].learner.input
    natural, values, folds, contents = _unseen(dataset, name, fitted)
    mixture, fair = learn_mixture(dataset.targets, natural, values, folds)
    positions = [position for position in range(len(fitted)) if mixture.scale[position].any()]
    scores = tuple(_scores(dataset.targets, fitted, natural, fair, mixture, values))
    if len(positions) == 1:
        only = fitted[positions[0]]
        single = replace(only.single, learners=scores)
        return Combined(only.prepared, only.features, single, only.unseen)
    parts = [fitted[position] for position in positions]
    mixture = Mixture(mixture.shares[positions], mixture.scale[positions])
    prepared = _prepare(dataset, parts, cache / "canonical", config.engine.shard_rows)
    single, composite = _composite(dataset, parts, mixture.scale, prepared, cache / "trainings")
    features = _features(dataset, parts, single, composite, cache / "features", config.engine.shard_rows)
    unseen = _out_of_fold(dataset, parts, features, composite, contents, fair, cache / "features")
    return Combined(prepared, features, replace(single, learners=scores), unseen)


def with_weight(single: Single, fitted: Sequence[Fitted]) -> list[Fitted]:
    """Keep the learners of an input that its combination has not dropped.

    Args:
        single: The input as it was combined.
        fitted: Its learners.
    """
    dropped = {each.label for each in single.learners if each.weights and not any(each.weights.values())}
    return [each for each in fitted if each.learner.label not in dropped]


def combine_again(
    dataset: Dataset,
    prepared: Prepared,
    first: Single,
    fitted: Sequence[Fitted],
    config: PipelineConfig,
    cache: Path,
) -> Refit:
    """Put fits to more rows together, with the weights that were learned out of fold.

    Args:
        dataset: Reference to the samples.
        prepared: Canonical samples for all of the learners.
        first: Their combination before, or the only fit.
        fitted: Learners that have a weight in it.
        config: The whole pipeline.
        cache: Folder of features and trainings.
    """
    if len(fitted) == 1:
        return Refit(replace(fitted[0].single, learners=first.learners), fitted[0].features)
    assert first.encoder.file is not None
    scale = read_tensors(Path(first.encoder.file), first.encoder.prefix)["scale"]
    single, composite = _composite(dataset, fitted, scale, prepared, cache / "trainings")
    features = _features(dataset, fitted, single, composite, cache / "features", config.engine.shard_rows)
    return Refit(replace(single, learners=first.learners), features)


def headline(scores: Sequence[LearnerScore]) -> str:
    """Shares of the learners for the primary target, in a line."""
    shares = {each.label: next(iter(each.weights.values())) for each in scores if each.weights}
    return ", ".join(
        f"{label} {share:.0%}" if share else f"{label} dropped" for label, share in shares.items()
    )


def _unseen(
    dataset: Dataset, name: str, fitted: Sequence[Fitted]
) -> tuple[list[Tensor], dict[str, Tensor], np.ndarray, list[str]]:
    """Natural parameters (N, K) of each learner, values, parts of the rows, and their contents."""
    rows = [
        open_unseen(
            dataset,
            {name: each.features},
            {name: each.single},
            {} if each.unseen is None else {name: each.unseen},
            0,
        )
        for each in fitted
    ]
    samples = rows[0].samples
    folds = content_folds(dataset, samples, name, _PARTS)
    natural = [each.natural[name] for each in rows]
    return natural, rows[0].values, folds, samples[f"{name}.digest"].tolist()


def _scores(
    targets: Targets,
    fitted: Sequence[Fitted],
    natural: Sequence[Tensor],
    fair: Tensor,
    mixture: Mixture,
    values: dict[str, Tensor],
) -> list[LearnerScore]:
    """Metric and weight of each learner, and the metric of their combination at the end."""

    def metrics(each: Tensor) -> dict[str, float]:
        return {
            target.name: _metric(target, each[:, part], values[target.name])
            for target, part in zip(targets, targets.slices.values(), strict=True)
        }

    scores = []
    for position, each in enumerate(fitted):
        shares = dict(zip(targets.slices, mixture.shares[position].tolist(), strict=True))
        training = each.single.training
        seconds = None if training is None else sum(epoch.seconds for epoch in read_history(training.folder))
        if seconds is not None and each.unseen is not None:
            seconds += each.unseen.seconds
        folder = None if training is None else training.folder
        label = each.learner.label
        scores.append(LearnerScore(label, metrics(natural[position]), shares, seconds, folder))
    return [*scores, LearnerScore(fitted[0].learner.input, metrics(fair), {}, None, None)]


def _metric(target: AnyTarget, natural: Tensor, values: Tensor) -> float:
    known = target.known(values.numpy())
    if not known.any():
        return float("nan")
    predictions = target.predict(target.proper(natural[torch.from_numpy(known)].double())).numpy()
    return metric(target, target.metric, values.numpy()[known], predictions)


def _prepare(dataset: Dataset, parts: Sequence[Fitted], cache: Path, shard_rows: int) -> Prepared:
    """Canonical samples for all parts: those that they share, or else an array of each, packed."""
    by_print = {each.prepared.fingerprint: each.prepared for each in parts}
    first = parts[0].prepared
    if len(by_print) == 1:
        return first
    distinct = {key: open_preprocessor(prepared) for key, prepared in by_print.items()}
    preprocessor = CompositePreprocessor([distinct[each.prepared.fingerprint] for each in parts])
    key = fingerprint(preprocessor)
    folder = cache / f"{first.input}-{key}"
    write_json(folder / "preprocessor.json", preprocessor.state())
    store = ShardStore(folder, "arrow")
    digests = open_samples_table(dataset).digests(first.input)[1]
    missing = store.missing(digests)
    for keys in _chunks(missing, shard_rows):
        rows = [ShardStore(Path(each.store), "arrow").rows(keys) for each in by_print.values()]
        store.append(keys, (pack([each[row] for each in rows]) for row in range(len(keys))))
    return Prepared(
        first.input, str(folder), str(folder / "preprocessor.json"), key, len(digests), len(missing)
    )


def _composite(
    dataset: Dataset, parts: Sequence[Fitted], scale: Tensor, prepared: Prepared, cache: Path
) -> tuple[Single, Composite]:
    """Write encoders, heads and weights into one file, and the head that passes their prediction on."""
    name, targets = prepared.input, dataset.targets
    options = CompositeConfig(encoders=[each.learner.options for each in parts], targets=targets.to_json())
    composite = build_encoder(options, open_preprocessor(prepared))
    assert isinstance(composite, Composite)
    state = {"scale": scale}
    for number, each in enumerate(parts):
        part = open_encoder(each.single.encoder, open_preprocessor(each.prepared)).state_dict()
        own = read_tensors(Path(each.single.head), each.single.prefix)
        state |= {f"parts.{number}.{tensor}": value for tensor, value in part.items()}
        state |= {f"heads.{number}.{tensor}": value for tensor, value in own.items()}
    composite.load_state_dict(state)
    composite.eval()
    key = encoder_digest(composite, options)
    head = Head(composite.width, targets)
    with torch.no_grad():
        head.bias.zero_()
        head.weight.zero_()
        head.weight[:, -targets.width :] = torch.eye(targets.width)
    with work(cache, f"{name}-combined-{key}") as job:
        weights_file = job.folder / BEST
        if not is_trained(job):
            tensors = {f"encoder.{own}": value for own, value in own_tensors(composite, options).items()}
            heads = {f"head.{own}": value for own, value in head.state_dict().items()}
            save_tensors(weights_file, {**tensors, **heads})
            job.finish({})
    encoder = EncoderWeights(
        name, str(weights_file), "encoder.", key, composite.width, options, composite.quantities
    )
    return Single(encoder, str(weights_file), "head.", None), composite


@torch.inference_mode()
def _features(
    dataset: Dataset,
    parts: Sequence[Fitted],
    single: Single,
    composite: Composite,
    cache: Path,
    shard_rows: int,
) -> Features:
    """Embeddings of the composite, from those of its parts."""
    name = single.encoder.input
    sources = [Path(each.features.store) for each in parts]
    key = digest(single.encoder.digest, *(source.name for source in sources), code_digest(Composite))
    store = ShardStore(cache / f"{name}-{key}", "parquet")
    digests = open_samples_table(dataset).digests(name)[1]
    for keys in _chunks(store.missing(digests), shard_rows):
        vectors = [_vectors(source, keys) for source in sources]
        store.append(keys, list(composite.join(vectors).numpy()))
    extracted = sum(each.features.extracted for each in parts)
    return Features(single.encoder, str(store.folder), len(digests), extracted)


@torch.inference_mode()
def _out_of_fold(
    dataset: Dataset,
    parts: Sequence[Fitted],
    features: Features,
    composite: Composite,
    contents: Sequence[str],
    fair: Tensor,
    cache: Path,
) -> OutOfFold | None:
    """Training rows by parts and weights that have not learned from the row; validation rows as they are.

    Args:
        contents: Content of each of N training rows.
        fair: (N, K) natural parameters, by weights from other rows.
    """
    unseen = [each.unseen for each in parts if each.unseen is not None]
    if not unseen:
        return None
    name = features.encoder.input
    sources = [Path(each.features.store) for each in unseen]
    position = {content: row for row, content in enumerate(contents)}
    held = list(position)
    fair = fair[list(position.values())]
    key = digest(
        Path(features.store).name,
        *(source.name for source in sources),
        digest_json(held),
        digest_tensors({"fair": fair}),
        code_digest(Composite),
    )
    natural = ShardStore(cache / f"{name}-natural-{key}", "parquet")
    if natural.missing(held):
        natural.append(held, list(fair.numpy()))
    embedded = ShardStore(cache / f"{name}-folds-{key}", "parquet")
    if embedded.missing(held):
        vectors = [_vectors(source, held) for source in sources]
        embedded.append(held, list(composite.put_together(vectors, fair).numpy()))
    samples = learning_rows(dataset, [name])
    between = samples.loc[samples["split"].eq("val"), f"{name}.digest"].drop_duplicates().tolist()
    if rest := embedded.missing(between):  # content that training rows share has been given already
        embedded.append(rest, ShardStore(Path(features.store), "parquet").stack(rest))
    seconds = sum(each.seconds for each in unseen)
    return OutOfFold(
        Features(features.encoder, str(embedded.folder), features.rows, 0), str(natural.folder), seconds
    )


def _vectors(store: Path, keys: Sequence[str]) -> Tensor:
    return as_vector(torch.from_numpy(ShardStore(store, "parquet").stack(keys)))


def _chunks(keys: Sequence[str], rows: int) -> Iterator[list[str]]:
    return (list(keys[first : first + rows]) for first in range(0, len(keys), rows))
