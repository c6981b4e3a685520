"""Audit of a data set: votes on labels, duplicates across splits, leaks of the target."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from components.audit import leakage
from components.audit.descriptors import describe, standardised
from components.audit.results import Agreement, Audit, Duplicates, Leak, Shuffled, SplitGroups
from components.audit.votes import Votes, shuffled_blocks, vote
from components.config import InputConfig, PipelineConfig, TabularInput, TextInput
from components.data.labels import strata
from components.data.samples import load_embeddings, open_samples_table
from components.evaluation.results import Evaluation
from components.models.encoders import needs_fit
from components.models.fusion.masking import as_vector
from components.models.weights import open_preprocessor
from components.preprocess.composite import first_array, first_part
from components.preprocess.tabular import TabularPreprocessor
from components.references import Dataset, Features, Prepared
from components.seeding import seed_of
from components.storage.digest import digest
from components.storage.shards import ShardStore
from components.targets import AnyTarget, Classification, Multilabel, Ordinal, cells_of, higher_is_better

_NOTHING = 0.01  # Shapley share of a metric, up to which an input contributes nothing


def audit(
    dataset: Dataset,
    prepared: Mapping[str, Prepared],
    features: Mapping[str, Features],
    evaluation: Evaluation | None,
    config: PipelineConfig,
) -> Audit:
    """Search the data for faults that make metrics too good or too bad.

    Args:
        prepared: Canonical samples by input.
        features: Embeddings by input; only those of frozen encoders are used, which do not know the labels.
        evaluation: Evaluation of the primary target. An input that helps its models is not at chance,
            whatever the votes say. None leaves the decision to the votes.
        config: Pipeline configuration; ``audit.rows`` is at least 1.
    """
    started = time.monotonic()
    options, target = config.audit, dataset.targets.primary
    table = open_samples_table(dataset)
    samples = table.rows(list(config.inputs), values=True)
    known = target.known(target.encode(cells_of(samples, target.name)))
    groups = table.groups()
    samples["group"] = groups.pop("group")
    samples, groups = (each[known].reset_index(drop=True) for each in (samples, groups))
    step = max(1, -(-len(samples) // options.rows))
    subset = samples.iloc[::step]
    agreements = []
    duplicates: list[Duplicates] = []
    for name, section in config.inputs.items():
        present = subset[subset[f"{name}.digest"].notna()].reset_index(drop=True)
        if len(present) < 2 * options.folds:
            continue
        vectors = _vectors(present, name, section, prepared[name], features[name])
        votes = vote(vectors, _values(target, present), _units(present, name), options.folds)
        agreements.append(_agreement(name, present, votes, evaluation, config))
        near = options.near_duplicates and section.modality in ("image", "audio")
        duplicates += _duplicates(samples, present, name, section, vectors if near else None)
    return Audit(
        target=target.name,
        rows=len(subset),
        agreements=tuple(agreements),
        duplicates=tuple(duplicates),
        leaks=tuple(_leaks(subset, target, config)),
        groups=tuple(_divided(str(column), groups[column], samples["split"]) for column in groups),
        seconds=time.monotonic() - started,
    )


def _vectors(
    samples: pd.DataFrame, name: str, section: InputConfig, prepared: Prepared, features: Features
) -> np.ndarray:
    """Return vectors (N, D) that know no labels: embeddings of a frozen encoder, else descriptors."""
    if not needs_fit(features.encoder.options):
        return standardised(as_vector(load_embeddings(samples, name, features)).numpy())
    arrays = ShardStore(Path(prepared.store), "arrow").rows(samples[f"{name}.digest"].tolist())
    preprocessor = open_preprocessor(prepared)
    first = first_part(preprocessor)
    numeric = first.numeric if isinstance(first, TabularPreprocessor) else 0
    plain = [first_array(preprocessor, arrays[row]) for row in range(len(samples))]
    return describe(section.modality, plain, numeric)


def _values(target: AnyTarget, samples: pd.DataFrame) -> np.ndarray:
    """Encode the targets, (N, K): a column per class or label, or the number itself."""
    values = target.encode(cells_of(samples, target.name))
    if isinstance(target, Classification | Ordinal):
        return np.eye(len(target.classes))[values.astype(int)]
    return values.astype(np.float64).reshape(len(samples), -1)


def _units(samples: pd.DataFrame, name: str) -> np.ndarray:
    """Number the rows, (N,), so that rows of equal content or of one group have the same number."""
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
        chance=votes.at_random and not _helps(name, evaluation),
        shuffled=tuple(
            Shuffled(ids[block.first], ids[block.last], block.last - block.first + 1, block.skill)
            for block in blocks
        ),
    )


def _helps(name: str, evaluation: Evaluation | None) -> bool:
    """Return True if the input's own model beats the prior, or the fused model gains by the input."""
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


def _duplicates(
    samples: pd.DataFrame, present: pd.DataFrame, name: str, section: InputConfig, vectors: np.ndarray | None
) -> list[Duplicates]:
    """Search content of train in val and test; any is flagged in media, else more than chance explains."""
    digests = _cells(samples[f"{name}.digest"])
    duplicates = []
    for split in ("val", "test"):
        exact, rows, by_chance = leakage.repeated_contents(digests, samples["split"].tolist(), split)
        pairs = _near(present, name, split, vectors) if vectors is not None else []
        media = section.modality in ("image", "audio")
        margin = 3 * (by_chance * (1 - by_chance) / max(rows, 1)) ** 0.5
        beyond = exact > max(1.0, rows * (1.2 * by_chance + margin + 0.005))
        example = f"{pairs[0][0]} and {pairs[0][1]}" if pairs else ""
        flagged = (exact > 0 or len(pairs) > max(1, rows // 200)) if media else beyond
        duplicates.append(Duplicates(name, split, rows, exact, len(pairs), by_chance, flagged, example))
    return duplicates


def _near(present: pd.DataFrame, name: str, split: str, vectors: np.ndarray) -> list[tuple[str, str]]:
    """Return the ids of nearly equal rows: one of the split, one of train."""
    is_train = (present["split"] == "train").to_numpy()
    distinct = ~present[f"{name}.digest"].duplicated().to_numpy()
    known = set(present[f"{name}.digest"][is_train])
    train = np.flatnonzero(is_train & distinct)
    new = ~present[f"{name}.digest"].isin(known).to_numpy()
    others = np.flatnonzero((present["split"] == split).to_numpy() & distinct & new)
    ids = present["id"].tolist()
    return [
        (ids[others[row]], ids[train[index]])
        for row, index in leakage.near_pairs(vectors[train], vectors[others])
    ]


def _leaks(samples: pd.DataFrame, target: AnyTarget, config: PipelineConfig) -> list[Leak]:
    """Measure the leaks of each tabular column and of each text."""
    words = strata(config.target, cells_of(samples, target.name))
    folds = np.arange(len(samples)) % config.audit.folds
    leaks = []
    for name, section in config.inputs.items():
        if isinstance(section, TabularInput):
            for column in section.columns:
                cells = samples[f"{name}.{column}"]
                share, usual = leakage.predicted_share(_cells(cells), words, folds)
                leaks.append(Leak(name, f"column {column}", share, usual, _is_leak(share, usual, config)))
        elif isinstance(section, TextInput) and not isinstance(target, Multilabel):
            texts = samples[f"{name}.text"]
            share, usual = leakage.label_in_text_share(_cells(texts), words)
            leaks.append(Leak(name, "words of the text", share, usual, _is_leak(share, usual, config)))
    return leaks


def _is_leak(share: float, usual: float, config: PipelineConfig) -> bool:
    """Return True if a share is high, and not only because one label is nearly everywhere."""
    return share >= config.audit.leak and (share - usual) > 0.5 * (1 - usual)


def _divided(column: str, values: pd.Series, splits: pd.Series) -> SplitGroups:
    groups, across, rows = leakage.divided_groups(_cells(values), splits.tolist())
    return SplitGroups(column, groups, across, rows, across > 0)


def _cells(column: pd.Series) -> list[str | None]:
    """Return the cells of a column, None where they are empty."""
    column = column.astype(object)
    return column.where(column.notna(), None).tolist()
