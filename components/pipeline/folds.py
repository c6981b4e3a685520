"""Rows that each training may learn from, so that nothing learns from what its parts have memorised."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from components.config.fusion import LateConfig
from components.config.pipeline import PipelineConfig
from components.data.samples import learning_rows, open_samples_table
from components.models.encoders import needs_fit
from components.references import Dataset
from components.training.folds import Fold, folds_of_input, folds_of_rows

_FOLDS: dict[str, tuple[tuple[int, int], ...]] = {
    "fast": ((20_000, 3),),
    "good": ((2_000, 5), (20_000, 3)),
    "best": ((20_000, 5), (100_000, 3)),
}
"""By quality: up to so many training rows, so many folds; none beyond."""
_FEWEST_FOR_TREES, _MOST_OUTPUTS = 200, 40
_PART = 5  # the fusion has one of so many parts where there are no folds


def number_of_folds(config: PipelineConfig, dataset: Dataset, learners: int = 1) -> int:
    """Give the number of folds of a run, 0 without cross-fitting.

    Encoders and fusion that are trained together cannot be cross-fitted, and a single input with one encoder
    has nothing that learns from its predictions.

    Args:
        config: The whole pipeline.
        dataset: Reference to the samples.
        learners: Number of encoders of all inputs together.
    """
    if config.strategy == "joint" or config.joint_epochs or max(learners, len(config.inputs)) == 1:
        return 0
    if config.training.folds is not None:
        return config.training.folds
    rows = dataset.splits.get("train", 0)
    return next((folds for most, folds in _FOLDS[config.quality] if rows <= most), 0)


def has_trees_beside(config: PipelineConfig, dataset: Dataset, folds: int) -> bool:
    """Tell whether trees over all inputs are fitted beside the fusion, as a further candidate.

    That takes cross-fitted rows, and enough of them. With many classes, each of which has trees of its own,
    it would take minutes; quality ``fast`` does without.

    Args:
        config: The whole pipeline.
        dataset: Reference to the samples.
        folds: Number of folds of the run.
    """
    enough = dataset.splits.get("train", 0) >= _FEWEST_FOR_TREES and dataset.targets.width <= _MOST_OUTPUTS
    wanted = config.quality != "fast" and config.fusion.name != "trees"
    return folds > 0 and enough and len(config.inputs) > 1 and wanted


def gives_rows_back(config: PipelineConfig, is_cross_fitted: bool) -> bool:
    """Tell whether learners are fitted again to training and validation rows together.

    Without folds validation rows choose and calibrate, so nothing may learn from them. Projections for search
    are stopped by the embeddings of validation rows.

    Args:
        config: The whole pipeline.
        is_cross_fitted: True where the run has folds.
    """
    return config.training.refit == "all" and is_cross_fitted and config.alignment is None


def all_as_training(samples: pd.DataFrame) -> pd.DataFrame:
    """Turn validation rows into training rows."""
    return samples.assign(split="train")


def encoder_rows(dataset: Dataset, name: str, config: PipelineConfig, fold: Fold | None) -> pd.DataFrame:
    """Select the rows that one input is fitted to, and stopped by.

    Args:
        dataset: Reference to the samples.
        name: Name of the input.
        config: The whole pipeline.
        fold: Training rows that are left out; None leaves out those that are the fusion's, if any.
    """
    samples = learning_rows(dataset, [name])
    if fold is not None:
        train = samples[samples["split"].eq("train")]
        inside = content_folds(dataset, train, name, fold.of) == fold.number
        return samples.drop(train.index[inside])
    if needs_fit(config.inputs[name].encoder) and _has_rows_of_its_own(config, dataset):
        own = rows_of_fold(dataset, list(config.inputs), Fold(0, _PART))
        return samples[~samples.index.isin(own.index)]
    return samples


def fusion_rows(dataset: Dataset, config: PipelineConfig, fold: Fold | None) -> pd.DataFrame:
    """Select the rows that the fusion is trained on, and stopped by.

    Args:
        dataset: Reference to the samples.
        config: The whole pipeline.
        fold: Training rows that are left out; None leaves out those that encoders have learned from.
    """
    names = list(config.inputs)
    samples = learning_rows(dataset, names)
    if fold is not None:
        return samples.drop(rows_of_fold(dataset, names, fold).index)
    if _has_rows_of_its_own(config, dataset):
        own = rows_of_fold(dataset, names, Fold(0, _PART))
        return samples[samples["split"].eq("val") | samples.index.isin(own.index)]
    return samples


def rows_of_fold(dataset: Dataset, inputs: Sequence[str], fold: Fold) -> pd.DataFrame:
    """Select the training rows of a fold that divides whole rows."""
    samples = learning_rows(dataset, inputs)
    train = samples[samples["split"].eq("train")]
    return train[fold_numbers(dataset, train, inputs, fold.of) == fold.number]


def fold_numbers(dataset: Dataset, samples: pd.DataFrame, inputs: Sequence[str], folds: int) -> np.ndarray:
    """Give the fold of each of some rows; see :func:`components.training.folds.folds_of_rows`. (N,) int64."""
    return folds_of_rows(_grouped(dataset, samples), inputs, folds)


def content_folds(dataset: Dataset, samples: pd.DataFrame, name: str, folds: int) -> np.ndarray:
    """Divide some rows by the content of one input, which all of them have. (N,) int64."""
    return folds_of_input(_grouped(dataset, samples), name, folds)


def _grouped(dataset: Dataset, samples: pd.DataFrame) -> pd.DataFrame:
    """Add the groups, by which rows were divided into splits, to some rows of the samples table."""
    return samples.assign(group=open_samples_table(dataset).groups()["group"].loc[samples.index])


def _has_rows_of_its_own(config: PipelineConfig, dataset: Dataset) -> bool:
    """Tell whether a fusion is trained without folds, on embeddings of encoders that learn from labels."""
    is_staged = config.strategy == "staged" and len(config.inputs) > 1 and not config.joint_epochs
    is_trained = is_staged and not isinstance(config.fusion, LateConfig)
    encoders = [each for options in config.inputs.values() for each in options.encoders]
    learns = any(map(needs_fit, encoders)) or any(
        options.may_have_several for options in config.inputs.values()
    )
    return is_trained and learns and not number_of_folds(config, dataset)
