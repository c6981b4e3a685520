"""Targets from the manifest's cells: checks of a cell, strata of the rows, and the targets themselves."""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from components.config.pipeline import PipelineConfig
from components.config.targets import (
    ClassificationTarget,
    MultilabelTarget,
    OrdinalTarget,
    RegressionTarget,
    TargetConfig,
)
from components.data.checks import check_labels
from components.data.spelling import Spelling, plain_number
from components.data.splits import SPLITS
from components.data.tasks import MANY, is_given, measures
from components.errors import DataError
from components.targets import AnyTarget, Classification, Multilabel, Ordinal, Regression, Targets
from components.targets.multilabel import split_labels
from components.targets.scales import Asinh, Log, Own, Scale, asinh_scale, likeliest_scale, log_scale

logger = logging.getLogger(__name__)

_QUANTILES = 10  # strata of a number


def spell_orders(config: PipelineConfig, spellings: Mapping[str, Spelling]) -> PipelineConfig:
    """Spell the classes that ``order`` gives as the cells of its column are spelled."""

    def spell(section: TargetConfig) -> TargetConfig:
        if not isinstance(section, OrdinalTarget) or section.order is None:
            return section
        names = spellings[section.column].names(section.order)
        return section if names is None else section.model_copy(update={"order": list(names)})

    further = [spell(section) for section in config.further_targets]
    return config.model_copy(update={"target": spell(config.target), "further_targets": further})


def unusable_target(config: TargetConfig, cell: str | None) -> str | None:
    """Return the reason why a cell cannot be used as this target; None if it can, or is empty."""
    if cell is None:
        return None
    if isinstance(config, RegressionTarget):
        try:
            number = float(cell)
        except ValueError:
            return f"{cell!r} is not a number"
        return None if math.isfinite(number) else f"{cell!r} is not a finite number"
    if isinstance(config, OrdinalTarget) and config.order is not None and cell not in config.order:
        return f"{cell!r} is not in order ({', '.join(config.order)})"
    return None


def check_classes(config: TargetConfig, cells: Iterable[str | None], name: str) -> None:
    """Refuse a column that names or measures its rows instead of dividing them into classes.

    Args:
        config: Configuration of the target.
        cells: Its cells.
        name: Name of the manifest, for messages.

    Raises:
        DataError: If nearly each row has a class of its own, or the cells are numbers and no task is given.
    """
    if not isinstance(config, ClassificationTarget | OrdinalTarget):
        return
    rows = Counter(cell for cell in cells if cell is not None)
    counts = f"{name}: {config.column!r} has {len(rows)} different values in {rows.total()} rows"
    if len(rows) > max(MANY, rows.total() / 2):
        raise DataError(
            f"{counts}, so nearly each row would be a class of its own. Choose another column "
            "(target.column), or target.task: regression if they are quantities"
        )
    if not is_given(config) and all(plain_number(cell) is not None for cell in rows) and measures(rows):
        raise DataError(
            f"{counts}, all of them numbers. Set target.task: regression to predict a number, or "
            "target.task: classification to take each for a class"
        )


def strata(config: TargetConfig, cells: Sequence[str | None]) -> list[str]:
    """Return the stratum of each row, of which every split shall have its share.

    Args:
        config: Configuration of the target.
        cells: Target of each row; None where it has none.

    Returns:
        The class; of several labels the one that fewest rows have; of a number the index of its decile;
        "" where there is no target.
    """
    if isinstance(config, RegressionTarget):
        numbers = np.fromiter((np.nan if cell is None else float(cell) for cell in cells), float, len(cells))
        known = numbers[~np.isnan(numbers)]
        if not len(known):
            return [""] * len(cells)
        edges = np.unique(np.quantile(known, np.arange(1, _QUANTILES) / _QUANTILES))
        names = [*map(str, range(len(edges) + 1)), ""]  # shared by the rows: a text per row takes memory
        deciles = np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers))  # (N,)
        return [names[decile] for decile in deciles]
    if isinstance(config, MultilabelTarget):
        sets = [split_labels(cell, config.separator, config.none) if cell else [] for cell in cells]
        rows = Counter(label for labels in sets for label in labels)
        return [min(labels, key=lambda label: (rows[label], label), default="") for labels in sets]
    return [cell or "" for cell in cells]


def untaught(
    config: PipelineConfig, cells: Mapping[str, Sequence[str | None]], splits: Sequence[str]
) -> dict[int, str]:
    """Find rows of classes that no training row has; return the reason by row.

    Args:
        config: Pipeline configuration.
        cells: Cells of N rows, by target.
        splits: Split of each row, or another word for a row that is in none.
    """
    reasons = {}
    for column, section in config.targets.items():
        if not isinstance(section, ClassificationTarget | OrdinalTarget):
            continue
        pairs = list(zip(cells[column], splits, strict=True))
        known = {cell for cell, split in pairs if split == "train"}
        for row, (cell, split) in enumerate(pairs):
            if cell is not None and cell not in known and split in SPLITS:
                reasons[row] = (
                    f"target {column}: no training row has class {cell!r} yet (it would be in {split})"
                )
    return reasons


def build_targets(
    config: PipelineConfig,
    cells: Mapping[str, Sequence[str | None]],
    before: Mapping[str, Sequence[str | None]],
    splits: Sequence[str],
    name: str,
) -> Targets:
    """Build the targets, with the classes or the scale of the training rows.

    Args:
        config: Pipeline configuration.
        cells: Cells of the usable rows, by target.
        before: Cells of all rows of the source, by target.
        splits: Split of each usable row.
        name: Name of the manifest, for messages.

    Raises:
        DataError: If a target is constant in the training rows, or a split has no row with the target. Also
            if val or test have classes that train has not.
    """
    return Targets(
        tuple(
            _build(section, cells[column], before[column], splits, name)
            for column, section in config.targets.items()
        )
    )


def _build(
    config: TargetConfig,
    cells: Sequence[str | None],
    before: Sequence[str | None],
    splits: Sequence[str],
    name: str,
) -> AnyTarget:
    """Build one target; see :func:`build_targets`."""
    train = (cell for cell, split in zip(cells, splits, strict=True) if split == "train" and cell is not None)
    known = {split for cell, split in zip(cells, splits, strict=True) if cell is not None}
    if lacking := [split for split in SPLITS if split not in known]:
        raise DataError(
            f"{name}: no row of {' and '.join(lacking)} has the target {config.column!r}. Every split needs "
            "some: fill the column in, or divide the rows otherwise (data.split)"
        )
    match config:
        case ClassificationTarget() | OrdinalTarget():
            possible = {cell for cell in before if cell is not None and unusable_target(config, cell) is None}
            labels = check_labels(splits, cells, possible, name)
            if isinstance(config, ClassificationTarget):
                if len(labels) > 2 and config.threshold not in ("auto", 0.5):
                    raise DataError(
                        f"{name}: target.threshold is {config.threshold:g}, for the last of two classes, and "
                        f"{config.column!r} has {len(labels)} classes. Take auto, or 0.5 for the most "
                        "probable class"
                    )
                return Classification(config.column, config.metric, labels)
            return Ordinal(config.column, config.metric, _ordered(config, labels, name))
        case MultilabelTarget():
            return _multilabel(config, cells, splits, train, name)
        case RegressionTarget():
            numbers = np.fromiter(map(float, train), float)
            if numbers.std() == 0:
                raise DataError(
                    f"{name}: {config.column!r} is {numbers[0]:g} in all training rows: nothing to learn. "
                    "Choose another column (target.column)."
                )
            return _number(config, numbers, name)


def _number(config: RegressionTarget, numbers: np.ndarray, name: str) -> Regression:
    """Return a target with the scale of its training rows."""
    scale = _scale(config, numbers, name)
    inner = scale.inner(torch.from_numpy(numbers)).numpy()
    target = Regression(config.column, config.metric, float(inner.mean()), float(inner.std()), config.loss)
    match scale:
        case Log():
            return replace(target, shift=scale.shift, least=scale.least)
        case Asinh():
            return replace(target, centre=scale.centre, spread=scale.spread)
    return target


def _scale(config: RegressionTarget, numbers: np.ndarray, name: str) -> Scale:
    """Return the scale that the section asks for, or the likeliest."""
    match config.transform:
        case "none":
            return Own()
        case "auto":
            return likeliest_scale(numbers)
        case "asinh":
            return asinh_scale(numbers) or Own()
    scale = log_scale(numbers)
    if scale is None:
        raise DataError(
            f"{name}: {config.column!r} has {numbers.min():g} in a training row, and the logarithm needs "
            "numbers from 0 (target.transform: log). Take transform: asinh, or none."
        )
    return scale


def _ordered(config: OrdinalTarget, labels: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the classes, the lowest first: as configured, or by value if all are numbers."""
    if config.order is not None:
        return tuple(config.order)
    try:
        return tuple(sorted(labels, key=float))
    except ValueError:
        raise DataError(
            f"{name}: the classes of {config.column!r} are words ({', '.join(labels)}), whose order braid "
            "cannot know: give target.order, lowest first"
        ) from None


def _multilabel(
    config: MultilabelTarget,
    cells: Sequence[str | None],
    splits: Sequence[str],
    train: Iterable[str],
    name: str,
) -> Multilabel:
    """Build a target of several labels per row; labels that only val or test have are ignored."""
    known = sorted({label for cell in train for label in split_labels(cell, config.separator, config.none)})
    if not known:
        raise DataError(f"{name}: no training row has any label in {config.column!r}")
    held_out = Counter(
        label
        for cell, split in zip(cells, splits, strict=True)
        if cell is not None and split != "train"
        for label in split_labels(cell, config.separator, config.none)
    )
    unknown = sorted(set(held_out) - set(known))
    if unknown:
        logger.warning(
            "%s: val or test have labels that no training row has; they are ignored: %s",
            name,
            ", ".join(f"{label!r} ({held_out[label]} rows)" for label in unknown[:5]),
        )
    return Multilabel(config.column, config.metric, tuple(known), config.separator, config.none)
