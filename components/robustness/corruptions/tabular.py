"""Corruptions of tables: noisy numbers and empty cells."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from components.preprocess.values import to_number

Cells = Mapping[str, Any]
_NO_SCALES: Mapping[str, float] = MappingProxyType({})


def number_noise(
    cells: Cells, severity: int, rng: np.random.Generator, scales: Mapping[str, float] = _NO_SCALES
) -> dict[str, Any]:
    """Add normal noise of .1, .25, .5, 1, 2 training standard deviations to numbers. The steps are ours.

    The draws are the same at every severity, only scaled. A cell that holds no number stays as it is.

    Args:
        cells: Column → cell.
        scales: Standard deviation of each numeric column; the others stay as they are.
    """
    share = (0.1, 0.25, 0.5, 1.0, 2.0)[severity - 1]
    draws = dict(zip(cells, rng.standard_normal(len(cells)), strict=True))
    noisy = dict(cells)
    for column, scale in scales.items():
        number = to_number(cells.get(column))
        if number is not None:
            noisy[column] = number + share * scale * float(draws[column])
    return noisy


def missing_cells(cells: Cells, severity: int, rng: np.random.Generator) -> dict[str, Any]:
    """Empty cells with a chance of .1, .2, .35, .5, .7 each; a row may lose them all.

    Source: random drops in tables as in MultiBench (Liang et al. 2021); the chances are ours. A cell that is
    empty is empty at every higher severity.
    """
    lost = rng.random(len(cells)) < (0.1, 0.2, 0.35, 0.5, 0.7)[severity - 1]
    return {column: None if gone else cell for (column, cell), gone in zip(cells.items(), lost, strict=True)}


TABULAR: Mapping[str, Callable[[Cells, int, np.random.Generator], dict[str, Any]]] = {
    "number_noise": number_noise,
    "missing_cells": missing_cells,
}
