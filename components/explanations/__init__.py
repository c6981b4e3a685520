"""Explainers: one function per modality that finds what is decisive inside one input of one row.

Each takes the score of the row, the input's preprocessor, its cells by column (None if empty), and the
largest number of parts. It returns the effect of each part.
"""

from collections.abc import Callable, Mapping
from typing import Any

from components.explanations.audio import explain_audio
from components.explanations.image import explain_image
from components.explanations.parts import Score
from components.explanations.results import Inside
from components.explanations.tabular import explain_table
from components.explanations.text import explain_text
from components.preprocess import Preprocessor

__all__ = ["EXPLAINERS", "Explainer", "Score"]

Explainer = Callable[[Score, Preprocessor, Mapping[str, Any], int], Inside]

EXPLAINERS: dict[str, Explainer] = {
    "image": explain_image,
    "text": explain_text,
    "audio": explain_audio,
    "tabular": explain_table,
}
