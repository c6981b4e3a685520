"""Sixteen bits a sample: what they keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.preprocess.pcm import each_packed, pack, pack_several, unpack

WAVES = arrays.arrays(np.float32, st.integers(1, 50), elements=st.floats(-1, 1, width=32))


@given(WAVES)
def test_a_sound_of_any_level_keeps_fifteen_bits_of_its_peak(wave: np.ndarray) -> None:
    restored = unpack(pack(wave))
    assert restored.dtype == np.float32
    peak = float(np.abs(wave).max())
    assert np.abs(restored - wave).max() <= max(peak * 2**-15, 2.0**-141)


@given(WAVES)
def test_packed_again_it_is_the_same(wave: np.ndarray) -> None:
    packed = pack(wave)
    np.testing.assert_array_equal(unpack(pack(unpack(packed))), unpack(packed))


@pytest.mark.parametrize("loudest", [1, 500, 32767])
def test_what_a_file_of_16_bits_holds_is_not_changed(loudest: int) -> None:
    levels = np.random.default_rng(0).integers(-loudest - 1, loudest, 1000, endpoint=True)
    wave = levels.astype(np.float32) / np.float32(32768)
    np.testing.assert_array_equal(unpack(pack(wave)), wave)


@given(st.lists(WAVES, min_size=1, max_size=4))
def test_several_sounds_stay_themselves(waves: list[np.ndarray]) -> None:
    row = pack_several([pack(wave) for wave in waves])
    for packed, wave in zip(each_packed(row), waves, strict=True):
        np.testing.assert_array_equal(packed, pack(wave))


def test_a_sound_of_minutes_keeps_its_length() -> None:
    long, short = pack(np.ones(100_000, np.float32)), pack(np.ones(3, np.float32))
    assert [len(each) for each in each_packed(pack_several([long, short]))] == [100_001, 4]
