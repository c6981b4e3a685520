"""Explanation of the images or audio of one row, each file while the others stay."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from PIL import Image

from components.explanations.parts import Score
from components.explanations.results import Heatmap, Inside
from components.preprocess import Preprocessor
from components.preprocess.audio import AudioPreprocessor, resample
from components.preprocess.composite import CompositePreprocessor, pack
from components.preprocess.image import ImagePreprocessor, stretch
from components.preprocess.pcm import pack as pack_audio
from components.preprocess.pcm import unpack as unpack_audio
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
    part = largest(preprocessor)
    each = each_item(part)
    items = {column: each.canonical(cell) for column, cell in cells.items() if cell is not None}
    regions = max(1, detail // len(items))
    return Inside(
        modality,
        tuple(
            heatmap(_score_of_column(score, preprocessor, part, items, column), column, item, regions)
            for column, item in items.items()
        ),
        missing=tuple(column for column in cells if column not in items),
    )


def each_item(preprocessor: Preprocessor) -> ImagePreprocessor | AudioPreprocessor:
    """Find the preprocessor of one image or clip, where a row has one or several."""
    each = preprocessor.each if isinstance(preprocessor, SeveralPreprocessor) else preprocessor
    assert isinstance(each, ImagePreprocessor | AudioPreprocessor)
    return each


def largest(preprocessor: Preprocessor) -> Preprocessor:
    """The preprocessor itself; of a composite the part whose images or clips hold the most."""
    if not isinstance(preprocessor, CompositePreprocessor):
        return preprocessor
    return max(preprocessor.distinct, key=_fineness)


def _fineness(preprocessor: Preprocessor) -> int:
    each = each_item(preprocessor)
    return each.size if isinstance(each, ImagePreprocessor) else each.rate


def _score_of_column(
    score: Score, preprocessor: Preprocessor, part: Preprocessor, items: Mapping[str, np.ndarray], column: str
) -> Score:
    """Make the score of the row with other arrays for one column's item; None takes the item away.

    Args:
        part: Part of the preprocessor that made the items; the others get them in their own size or rate.
    """

    def together(array: np.ndarray | None) -> np.ndarray | None:
        changed = {**items, column: array}
        left = [item for item in changed.values() if item is not None]
        if not left:
            return None
        if isinstance(preprocessor, CompositePreprocessor):
            return pack([_joined(each, _converted(left, part, each)) for each in preprocessor.distinct])
        return _joined(preprocessor, left)

    def of_column(arrays: Sequence[np.ndarray | None]) -> FloatArray:
        return score([together(array) for array in arrays])

    return of_column


def _joined(preprocessor: Preprocessor, items: Sequence[np.ndarray]) -> np.ndarray:
    return preprocessor.together(items) if isinstance(preprocessor, SeveralPreprocessor) else items[0]


def _converted(items: Sequence[np.ndarray], made_by: Preprocessor, wanted: Preprocessor) -> list[np.ndarray]:
    """Canonical images or clips in the size or rate of another preprocessor."""
    source, target = each_item(made_by), each_item(wanted)
    if source is target:
        return list(items)
    if isinstance(target, ImagePreprocessor):
        return [np.asarray(stretch(Image.fromarray(item), target.size)) for item in items]
    assert isinstance(source, AudioPreprocessor)
    waves = (resample(unpack_audio(item), source.rate, target.rate)[: target.samples] for item in items)
    return [pack_audio(wave.clip(-1.0, 1.0)) for wave in waves]
