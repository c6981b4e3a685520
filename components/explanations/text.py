"""Effects of the words of a text, each left out of the raw text before any tokenizer reads it."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from components.explanations.parts import Score, leave_out, runs
from components.explanations.results import Effect, Inside
from components.preprocess import Preprocessor
from components.preprocess.scripts import WORD

_WORD = re.compile(WORD)
_CHARACTERS = 2000  # the rest of a longer text stays as it is, and is not shown


def explain_text(score: Score, preprocessor: Preprocessor, cells: Mapping[str, Any], detail: int) -> Inside:
    """Find the effects of words, or of runs of neighbouring words where there are too many.

    Args:
        cells: Texts by column, which the model reads one below the other; None where a cell is empty.
        detail: Most words or runs.
    """
    text = "\n".join(str(cell) for cell in cells.values() if cell is not None)
    words = [match.span() for match in _WORD.finditer(text[:_CHARACTERS])]
    groups = [words[run] for run in runs(len(words), detail)]
    spans = [(group[0][0], group[-1][1]) for group in groups]

    def hide(mask: np.ndarray) -> np.ndarray | None:
        left, end = "", 0
        for (start, stop), keep in zip(spans, mask, strict=True):
            left += text[end:start] + (text[start:stop] if keep else "")
            end = stop
        left += text[end:]
        return preprocessor.canonical(left) if left.strip() else None

    effects: list[Effect] = []
    end = 0
    for (start, stop), effect in zip(spans, leave_out(score, hide, len(spans)).tolist(), strict=True):
        if start > end:
            effects.append(Effect(text[end:start], None))
        effects.append(Effect(text[start:stop], effect))
        end = stop
    if len(text) > _CHARACTERS:
        effects.append(Effect(" …", None))
    return Inside("text", effects=tuple(effects))
