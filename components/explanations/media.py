"""Explanation of the images or audio of one row, each file while the others stay."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from components.explanations.parts import Score
from components.explanations.results import Heatmap, Inside
from components.preprocess import Preprocessor
from components.preprocess.audio import AudioPreprocessor
from components.preprocess.image import ImagePreprocessor
from components.preprocess.several import SeveralPreprocessor
from components.targets import FloatArray

MakeHeatmap = Callable[[Score, str, np.ndarray, int], Heatmap]
"""Maker of a heatmap of one canonical image or clip.

It takes the score of the row with other arrays instead, the column, the array, and the most regions.
"""


def explain_media(
    score: Score,
    preprocessor: Preprocessor,
    cells: Mapping[str, Any],
    detail: int,
    modality: Literal["image", "audio"],
    heatmap: MakeHeatmap,
) -> Inside:
    """Make a heatmap for each column that has a cell; the regions are divided among them.

    Args:
        cells: Path, URL or bytes by column; None where a cell is empty.
        detail: Most regions of all cells together.
    """
    each = each_item(preprocessor)
    items = {column: each.canonical(cell) for column, cell in cells.items() if cell is not None}
    regions = max(1, detail // len(items))
    return Inside(
        modality,
        tuple(
            heatmap(_score_of_column(score, preprocessor, items, column), column, item, regions)
            for column, item in items.items()
        ),
        missing=tuple(column for column in cells if column not in items),
    )


def each_item(preprocessor: Preprocessor) -> ImagePreprocessor | AudioPreprocessor:
    """Find the preprocessor of one image or clip, where a row has one or several."""
    each = preprocessor.each if isinstance(preprocessor, SeveralPreprocessor) else preprocessor
    assert isinstance(each, ImagePreprocessor | AudioPreprocessor)
    return each


def _score_of_column(
    score: Score, preprocessor: Preprocessor, items: Mapping[str, np.ndarray], column: str
) -> Score:
    """Make the score of the row with other arrays for one column's item; None takes the item away."""

    def together(array: np.ndarray | None) -> np.ndarray | None:
        if not isinstance(preprocessor, SeveralPreprocessor):
            return array
        changed = {**items, column: array}
        left = [item for item in changed.values() if item is not None]
        return preprocessor.together(left) if left else None

    def of_column(arrays: Sequence[np.ndarray | None]) -> FloatArray:
        return score([together(array) for array in arrays])

    return of_column
