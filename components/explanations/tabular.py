"""Effects of the columns of a table, each emptied: the model takes an empty cell as missing."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from components.data.values import is_null
from components.evaluation.media import cell_text
from components.explanations.parts import Score, runs, share_out
from components.explanations.results import Effect, Inside
from components.preprocess import Preprocessor


def explain_table(score: Score, preprocessor: Preprocessor, cells: Mapping[str, Any], detail: int) -> Inside:
    """Find the Shapley values of columns, or of runs of neighbouring columns where there are too many.

    They sum to the loss of the prediction without the input. Empty cells have none.

    Args:
        cells: Cells by column.
        detail: Most columns or runs.
    """
    filled = [column for column, cell in cells.items() if not is_null(cell)]
    groups = [filled[run] for run in runs(len(filled), detail)]

    def hide(mask: np.ndarray) -> np.ndarray | None:
        left = {
            column: cells[column]
            for group, keep in zip(groups, mask, strict=True)
            if keep
            for column in group
        }
        return preprocessor.canonical(left) if left else None

    values = share_out(score, hide, len(groups)).tolist()
    effects = [
        Effect(", ".join(cell_text(cells[column]) for column in group), effect, ", ".join(group))
        for group, effect in zip(groups, values, strict=True)
    ]
    empty = [Effect("–", None, column) for column in cells if column not in filled]
    return Inside("tabular", effects=(*effects, *empty))
