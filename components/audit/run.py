"""The audit of a data set: votes on labels, duplicates across splits, leaks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from components.audit import leakage
from components.audit.descriptors import describe, standardised
from components.audit.results import Agreement, Audit, Duplicates, Leak, Shuffled, SplitGroups
from components.audit.votes import Votes, shuffled_blocks, vote
from components.config.inputs import InputConfig, TabularInput, TextInput
from components.config.pipeline import PipelineConfig
from components.data.labels import strata
from components.data.samples import load_embeddings, read_groups, read_samples
from components.evaluation.results import Evaluation
from components.models.encoders import needs_fit
from components.models.fusion.masking import as_vector
from components.models.weights import open_preprocessor
from components.preprocess.tabular import TabularPreprocessor
from components.references import Dataset, Features, Prepared
from components.seeding import seed_of
from components.storage.digest import digest
from components.storage.shards import ShardStore
from components.targets import AnyTarget, Classification, Multilabel, Ordinal, cells_of
from components.targets.metrics import higher_is_better

_NOTHING = 0.01  # Shapley share of a metric below which an input brings nothing


def audit(
    dataset: Dataset,
    prepared: Mapping[str, Prepared],
    features: Mapping[str, Features],
    evaluation: Evaluation | None,
    config: PipelineConfig,
) -> Audit:
    """Look for what makes good numbers of bad data, and bad numbers of good models.

    Args:
        dataset: Reference to the samples.
        prepared: Canonical samples by input.
        features: Embeddings by input; used of frozen pretrained encoders, which have not seen the labels.
        evaluation: Of the primary target: an input that its models get something from is not at chance. None:
            the votes alone decide.
        config: The whole pipeline; ``audit.rows`` is at least 1.
    """
    started = time.monotonic()
    options, target = config.audit, dataset.targets.primary
    samples = read_samples(dataset, list(config.inputs), values=True)
    known = target.known(target.encode(cells_of(samples, target.name)))
    groups = read_groups(dataset)
    samples["group"] = groups.pop("group")
    samples, groups = (table[known].reset_index(drop=True) for table in (samples, groups))
    step = max(1, -(-len(samples) // options.rows))
    some = samples.iloc[::step]
    found = []
    twins: list[Duplicates] = []
    for name, section in config.inputs.items():
        there = some[some[f"{name}.digest"].notna()].reset_index(drop=True)
        if len(there) < 2 * options.folds:
            continue
        vectors = _vectors(there, name, section, prepared[name], features[name])
        votes = vote(vectors, _values(target, there), _units(there, name), options.folds)
        found.append(_agreement(name, there, votes, evaluation, config))
        near = options.near_duplicates and section.modality in ("image", "audio")
        twins += _twins(samples, there, name, section, vectors if near else None)
    return Audit(
        target=target.name,
        rows=len(some),
        agreements=tuple(found),
        duplicates=tuple(twins),
        leaks=tuple(_leaks(some, target, config)),
        groups=tuple(_torn(str(column), groups[column], samples["split"]) for column in groups),
        seconds=time.monotonic() - started,
    )


def _vectors(
    samples: pd.DataFrame, name: str, section: InputConfig, prepared: Prepared, features: Features
) -> np.ndarray:
    """(N, D): of a frozen encoder its embeddings, else descriptors that have learned nothing."""
    if not needs_fit(section.encoder):
        return standardised(as_vector(load_embeddings(samples, name, features)).numpy())
    arrays = ShardStore(Path(prepared.store), "arrow").rows(samples[f"{name}.digest"].tolist())
    preprocessor = open_preprocessor(prepared)
    numeric = preprocessor.numeric if isinstance(preprocessor, TabularPreprocessor) else 0
    return describe(section.modality, [arrays[row] for row in range(len(samples))], numeric)


def _values(target: AnyTarget, samples: pd.DataFrame) -> np.ndarray:
    """(N, K): a column for each class or label, or the number itself."""
    values = target.encode(cells_of(samples, target.name))
    if isinstance(target, Classification | Ordinal):
        return np.eye(len(target.classes))[values.astype(int)]
    return values.astype(np.float64).reshape(len(samples), -1)


def _units(samples: pd.DataFrame, name: str) -> np.ndarray:
    """(N,): rows of the same content, or of the same group, have the same number."""
    keys = samples["group"].fillna(samples[f"{name}.digest"])
    return np.array([int(digest(str(key))[:12], 16) for key in keys])


def _agreement(
    name: str, samples: pd.DataFrame, votes: Votes, evaluation: Evaluation | None, config: PipelineConfig
) -> Agreement:
    blocks = shuffled_blocks(
        votes,
        strata(config.target, cells_of(samples, config.target.column)),
        config.audit.level,
        seed_of(config.seed, "audit", name),
    )
    ids = samples["id"].tolist()
    right, at_random = votes.right or (float("nan"), float("nan"))
    return Agreement(
        input=name,
        rows=len(samples),
        skill=votes.skill,
        low=votes.low,
        high=votes.high,
        right=right,
        at_random=at_random,
        chance=votes.at_random and not _worth_something(name, evaluation),
        shuffled=tuple(
            Shuffled(ids[block.first], ids[block.last], block.last - block.first + 1, block.skill)
            for block in blocks
        ),
    )


def _worth_something(name: str, evaluation: Evaluation | None) -> bool:
    """Whether the input's own model beats the answer without any input, or the whole model gains by it."""
    if evaluation is None:
        return False
    single = next(
        (each for each in evaluation.candidates if each.kind == "single" and each.inputs == (name,)), None
    )
    better = False
    if single is not None:
        interval = single.on_test(evaluation.metric)
        rises = higher_is_better(evaluation.metric)
        prior = evaluation.prior_value
        better = interval.low > prior if rises else interval.high < prior
    return better or evaluation.shapley.get(name, 0.0) > _NOTHING


def _twins(
    samples: pd.DataFrame, there: pd.DataFrame, name: str, section: InputConfig, vectors: np.ndarray | None
) -> list[Duplicates]:
    """Content in train and in val or test: of media any is flagged, else more than chance explains."""
    digests = _cells(samples[f"{name}.digest"])
    found = []
    for split in ("val", "test"):
        exact, rows, by_chance = leakage.shared(digests, samples["split"].tolist(), split)
        pairs = _near(there, name, split, vectors) if vectors is not None else []
        media = section.modality in ("image", "audio")
        margin = 3 * (by_chance * (1 - by_chance) / max(rows, 1)) ** 0.5
        beyond = exact > max(1.0, rows * (1.2 * by_chance + margin + 0.005))
        example = f"{pairs[0][0]} and {pairs[0][1]}" if pairs else ""
        flagged = (exact > 0 or len(pairs) > max(1, rows // 200)) if media else beyond
        found.append(Duplicates(name, split, rows, exact, len(pairs), by_chance, flagged, example))
    return found


def _near(there: pd.DataFrame, name: str, split: str, vectors: np.ndarray) -> list[tuple[str, str]]:
    """Ids of a row of the split and of the row of train that it is nearly the same as."""
    is_train = (there["split"] == "train").to_numpy()
    distinct = ~there[f"{name}.digest"].duplicated().to_numpy()
    known = set(there[f"{name}.digest"][is_train])
    train = np.flatnonzero(is_train & distinct)
    new = ~there[f"{name}.digest"].isin(known).to_numpy()
    others = np.flatnonzero((there["split"] == split).to_numpy() & distinct & new)
    ids = there["id"].tolist()
    return [
        (ids[others[row]], ids[train[place]])
        for row, place in leakage.near_pairs(vectors[train], vectors[others])
    ]


def _leaks(samples: pd.DataFrame, target: AnyTarget, config: PipelineConfig) -> list[Leak]:
    """Each column of a table, and each text that may say the label."""
    words = strata(config.target, cells_of(samples, target.name))
    folds = np.arange(len(samples)) % config.audit.folds
    found = []
    for name, section in config.inputs.items():
        if isinstance(section, TabularInput):
            for column in section.columns:
                cells = samples[f"{name}.{column}"]
                share, usual = leakage.told(_cells(cells), words, folds)
                found.append(Leak(name, f"column {column}", share, usual, _tells(share, usual, config)))
        elif isinstance(section, TextInput) and not isinstance(target, Multilabel):
            texts = samples[f"{name}.text"]
            share, usual = leakage.said(_cells(texts), words)
            found.append(Leak(name, "words of the text", share, usual, _tells(share, usual, config)))
    return found


def _tells(share: float, usual: float, config: PipelineConfig) -> bool:
    """As good as always, and that not because one label is as good as everywhere."""
    return share >= config.audit.leak and (share - usual) > 0.5 * (1 - usual)


def _torn(column: str, values: pd.Series, splits: pd.Series) -> SplitGroups:
    groups, across, rows = leakage.torn(_cells(values), splits.tolist())
    return SplitGroups(column, groups, across, rows, across > 0)


def _cells(column: pd.Series) -> list[str | None]:
    """Cells of a column, None where empty."""
    column = column.astype(object)
    return column.where(column.notna(), None).tolist()
