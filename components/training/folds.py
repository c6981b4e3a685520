"""Folds of rows: no fit of a fold has seen the fold's rows, nor their content, nor their group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from components.data.parts import connected
from components.storage.digest import digest


@dataclass(frozen=True)
class Fold:
    """One of the parts that rows are divided into, each left out by one fit.

    Attributes:
        number: Number of the fold, from 0.
        of: Number of all folds.
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"fold {self.number + 1} of {self.of}"


def named(part: str, fold: Fold | None, whole: object = None) -> str:
    """Name a training for people.

    Args:
        part: What is trained.
        fold: Rows that it leaves out; None for none.
        whole: The training on all training rows, of one that is like it; without a fold that is one on
            validation rows too.

    Example:
        >>> named("image", Fold(0, 5))
        'image, fold 1 of 5'
    """
    rows = "with validation rows" if fold is None and whole is not None else fold
    return part if rows is None else f"{part}, {rows}"


def folds_of_input(samples: pd.DataFrame, name: str, folds: int) -> np.ndarray:
    """Divide rows by the content of one input; equal content, or a group, stays whole.

    So what an encoder gives for a row follows from the content alone, as in every store of features.

    Args:
        samples: N rows with ``group`` and the digest of the input, which all of them have.
        name: Name of the input.
        folds: Number of folds.

    Returns:
        (N,) int64.
    """
    contents = samples[f"{name}.digest"].astype(object)
    # Equal content of two groups goes with the group in which it appears first.
    group = samples.groupby(contents, sort=False)["group"].transform("first").astype(object)
    return _divide(("group " + group).where(group.notna(), contents), folds)


def folds_of_rows(samples: pd.DataFrame, inputs: Sequence[str], folds: int) -> np.ndarray:
    """Divide rows so that those which share a group or the content of an input stay together.

    Where too many rows hang together in that way, as where a few recordings are paired with every image,
    rows are divided one by one.

    Args:
        samples: N rows with ``id``, ``group`` and the digests of the inputs.
        inputs: Names of the inputs.
        folds: Number of folds.

    Returns:
        (N,) int64.
    """
    component = connected((samples["group"], *(samples[f"{name}.digest"] for name in inputs)))
    largest = np.bincount(component).max(initial=0)
    if largest * folds > len(samples) and samples["group"].isna().all():
        component = np.arange(len(samples))
    return _divide(samples["id"].groupby(component).transform("min"), folds)


def _divide(units: pd.Series, folds: int) -> np.ndarray:
    """Give each unit its rank by digest, modulo the folds. (N,) int64."""
    codes, names = pd.factorize(units)
    order = sorted(range(len(names)), key=lambda number: digest("fold", str(names[number])))
    number = np.empty(len(names), np.int64)
    number[order] = np.arange(len(names)) % folds
    return number[codes]
