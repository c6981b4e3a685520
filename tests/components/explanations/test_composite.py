"""Inputs whose encoders want other sizes, rates or tokens: hidden parts are hidden from each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from components.explanations import EXPLAINERS
from components.preprocess.audio import AudioPreprocessor
from components.preprocess.composite import CompositePreprocessor, unpack
from components.preprocess.image import ImagePreprocessor
from components.preprocess.pcm import unpack as unpack_audio
from components.preprocess.several import SeveralPreprocessor
from tests.components.explanations.test_explain import RATE, ngrams, picture, sound

SMALL, LARGE = ImagePreprocessor(8, "stretch"), ImagePreprocessor(32, "stretch")
SIZES = CompositePreprocessor([SMALL, LARGE])
RATES = CompositePreprocessor(
    [
        AudioPreprocessor(RATE // 2, 1.0, "start", False, False),
        AudioPreprocessor(RATE, 1.0, "start", False, False),
    ]
)


def part(number: int, arrays: Sequence[np.ndarray | None]) -> np.ndarray:
    """Bright pixels, as a share, of the canonical image for one encoder."""
    return np.array([0.0 if each is None else (unpack(each)[number] > 128).mean() for each in arrays])


@pytest.mark.parametrize("number", [0, 1])
def test_a_region_of_an_image_is_hidden_from_every_encoder(number: int) -> None:
    inside = EXPLAINERS["image"](lambda arrays: part(number, arrays), SIZES, {"x": picture((1, 0))}, 64)
    (heatmap,) = inside.heatmaps
    grid = np.array(heatmap.grid)
    row, column = np.unravel_index(np.argmax(grid), grid.shape)
    assert row >= grid.shape[0] // 2 > column
    assert heatmap.effect > 0
    assert grid[0, -1] == pytest.approx(0, abs=1e-6)


def test_several_images_of_a_row_are_packed_for_every_encoder() -> None:
    several = CompositePreprocessor([SeveralPreprocessor(each, "mean") for each in (SMALL, LARGE)])
    shapes = set()

    def score(arrays: Sequence[np.ndarray | None]) -> np.ndarray:
        shapes.update(tuple(inner.shape for inner in unpack(each)) for each in arrays if each is not None)
        return np.zeros(len(arrays))

    EXPLAINERS["image"](score, several, {"front": picture((0, 0)), "back": picture((1, 1))}, 16)
    assert shapes == {((2, 8, 8, 3), (2, 32, 32, 3)), ((1, 8, 8, 3), (1, 32, 32, 3))}


@pytest.mark.parametrize("number", [0, 1])
def test_a_stretch_of_audio_is_hidden_from_every_encoder(number: int) -> None:
    def energy(arrays: Sequence[np.ndarray | None]) -> np.ndarray:
        waves = [None if each is None else unpack_audio(unpack(each)[number]) for each in arrays]
        return np.array([0.0 if wave is None else np.square(wave).mean() for wave in waves])

    inside = EXPLAINERS["audio"](energy, RATES, {"x": sound(0.6, 500)}, 64)
    (heatmap,) = inside.heatmaps
    grid = np.array(heatmap.grid)
    assert grid.max() > 0
    assert heatmap.effect > 0
    assert np.argmax(grid.max(axis=0)) >= grid.shape[1] // 2, "the tone sounds in the second half"


def test_a_word_is_hidden_from_every_tokenizer() -> None:
    both = CompositePreprocessor([ngrams(), ngrams()])

    def count(arrays: Sequence[np.ndarray | None]) -> np.ndarray:
        return np.array([0.0 if each is None else float(len(unpack(each)[1])) for each in arrays])

    inside = EXPLAINERS["text"](count, both, {"x": "a fox"}, 64)
    assert [effect.text for effect in inside.effects if effect.effect] == ["a", "fox"]
