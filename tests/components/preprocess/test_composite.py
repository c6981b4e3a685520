"""Canonical samples for encoders that want them in different forms."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from components.config import ImageInput, TextInput
from components.preprocess import Preprocessor, build_preprocessor, fingerprint, load_preprocessor
from components.preprocess.composite import (
    CompositePreprocessor,
    first_array,
    first_part,
    pack,
    part_of_batch,
    unpack,
)


def image(size: int) -> Preprocessor:
    return build_preprocessor(ImageInput(columns=["a"], size=size))


@pytest.fixture
def picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_packed_arrays_come_back_as_they_were() -> None:
    arrays = [
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.zeros((0, 4), np.float32),
        np.array(7, np.int16),
        np.arange(256, dtype=np.uint8),
    ]
    for before, after in zip(arrays, unpack(pack(arrays)), strict=True):
        assert (after.dtype, after.shape) == (before.dtype, before.shape)
        np.testing.assert_array_equal(after, before)


def test_each_encoder_gets_the_batch_of_its_own_preprocessor(picture: bytes) -> None:
    small, large = image(8), image(16)
    both = CompositePreprocessor([small, large, small])
    packed = both.canonical(picture)
    assert len(unpack(packed)) == 2, "what two encoders share is stored once"
    batch = both.collate([packed, packed])
    for number, alone in enumerate((small, large, small)):
        expected = alone.collate([alone.canonical(picture)] * 2)
        np.testing.assert_array_equal(part_of_batch(batch, number)["pixels"], expected["pixels"])
    assert first_part(both) is small
    np.testing.assert_array_equal(first_array(both, packed), small.canonical(picture))


def test_state_makes_the_same_preprocessor_again() -> None:
    words = build_preprocessor(TextInput.model_validate({"columns": "a", "encoder": "ngrams"}))
    subwords = build_preprocessor(TextInput.model_validate({"columns": "a", "encoder": "gru"}))
    both = CompositePreprocessor([words, subwords, words])
    both.fit({"t.text": ["a fox and a hound", "a hound", None]})
    again = load_preprocessor(json.loads(json.dumps(both.state())))
    assert fingerprint(again) == fingerprint(both)
    np.testing.assert_array_equal(again.canonical("a fox"), both.canonical("a fox"))
    assert isinstance(again, CompositePreprocessor)
    assert again.parts[0] is again.parts[2]
    other = CompositePreprocessor([subwords, words, subwords])
    assert fingerprint(other) != fingerprint(both)
