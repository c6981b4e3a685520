"""Explanations of made-up models, of which is known what they look at."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from PIL import Image

from components.explanations import EXPLAINERS, Score
from components.explanations.image import explain_image
from components.explanations.parts import leave_out, occlude, runs, share_out
from components.preprocess import Preprocessor
from components.preprocess.audio import AudioPreprocessor
from components.preprocess.image import ImagePreprocessor
from components.preprocess.ngrams import NgramTokenizer
from components.preprocess.pcm import unpack
from components.preprocess.tabular import TabularPreprocessor
from components.preprocess.text import TextPreprocessor

RATE = 8000


def score_of(one: Callable[[np.ndarray], float], missing: float = 0.0) -> Score:
    """A model that judges one canonical array at a time."""

    def score(arrays: Sequence[np.ndarray | None]) -> np.ndarray:
        return np.array([missing if array is None else one(array) for array in arrays], dtype=np.float64)

    return score


class TestParts:
    def test_parts_left_out_one_at_a_time_show_their_own_weight(self) -> None:
        weights = np.array([3.0, -1.0, 0.0, 0.5])
        effects = leave_out(score_of(lambda mask: float(mask @ weights)), lambda mask: mask.astype(float), 4)
        np.testing.assert_allclose(effects, weights, atol=1e-6)

    @pytest.mark.parametrize("parts", [2, 4, 7])
    def test_parts_that_say_the_same_share_the_effect(self, parts: int) -> None:
        score = score_of(lambda mask: 6.0 * mask[:2].any())  # either of the first two is enough
        hide = lambda mask: mask.astype(float)  # noqa: E731
        assert leave_out(score, hide, parts).tolist() == [0.0] * parts
        effects = share_out(score, hide, parts)
        assert effects.sum() == pytest.approx(6.0)
        assert effects[2:].tolist() == [0.0] * (parts - 2)
        assert (effects[:2] > (2.99 if parts <= 4 else 1.0)).all(), "exact up to four parts, else a mean"
        np.testing.assert_array_equal(effects, share_out(score, hide, parts))

    def test_random_orders_leave_the_generator_as_it_was(self) -> None:
        torch.manual_seed(5)
        before = torch.random.get_rng_state()
        share_out(score_of(lambda mask: float(mask.sum())), lambda mask: mask, 9)
        assert torch.equal(torch.random.get_rng_state(), before)

    @pytest.mark.parametrize("shape", [(8, 8), (4, 16), (2, 5), (1, 1)])
    def test_no_more_than_a_few_copies_are_held_at_once(self, shape: tuple[int, int]) -> None:
        asked: list[int] = []

        def score(arrays: Sequence[np.ndarray | None]) -> np.ndarray:
            asked.append(len(arrays))
            return np.array([0.0 if array is None else array[0, 0] for array in arrays])

        effects = occlude(score, lambda mask: mask.astype(float), *shape)
        assert effects.shape == shape
        assert np.unravel_index(effects.argmax(), shape) == (0, 0)
        assert max(asked) <= 16
        assert sum(asked) <= (shape[0] + 1) * (shape[1] + 1) + 2

    def test_runs_cover_everything_once(self) -> None:
        for count, most in ((0, 4), (3, 4), (4, 4), (10, 4), (1000, 64)):
            slices = runs(count, most)
            assert [i for run in slices for i in range(count)[run]] == list(range(count))
            assert len(slices) == min(count, most)
            assert all(run.stop > run.start for run in slices)


def picture(corner: tuple[int, int], side: int = 32) -> bytes:
    """Noise with a bright square of a quarter of the side in a corner."""
    pixels = np.random.default_rng(0).integers(0, 60, (side, side, 3)).astype(np.uint8)
    top, left = (edge * (side - side // 4) for edge in corner)
    pixels[top : top + side // 4, left : left + side // 4] = 250
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class TestImage:
    @pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
    @pytest.mark.parametrize("side", [32, 30], ids=["even", "uneven"])
    def test_the_heat_is_greatest_where_the_bright_square_is(
        self, corner: tuple[int, int], side: int
    ) -> None:
        score = score_of(lambda pixels: float((pixels > 200).sum()))
        inside = explain_image(
            score, ImagePreprocessor(side, "stretch"), {"photo": picture(corner, side)}, 64
        )
        grid = np.array(inside.heatmaps[0].grid)
        assert grid.shape == (8, 8)
        assert [pixel // 6 for pixel in np.unravel_index(grid.argmax(), grid.shape)] == list(corner)
        assert grid.min() > -1e-6
        far = np.flip(grid, [axis for axis in (0, 1) if corner[axis]])[4:, 4:]
        assert far.max() < 1e-6, "what the model does not look at has no effect"
        assert inside.strongest == grid.max()
        assert Image.open(io.BytesIO(inside.heatmaps[0].image)).size == (side, side)

    def test_what_argues_against_the_answer_is_negative(self) -> None:
        score = score_of(lambda pixels: -float((pixels > 200).sum()))
        inside = explain_image(score, ImagePreprocessor(32, "stretch"), {"photo": picture((0, 0))}, 64)
        grid = inside.heatmaps[0].grid
        assert inside.strongest == grid[0][0] == np.min(grid) < 0

    def test_no_region_is_smaller_than_a_pixel(self) -> None:
        score = score_of(lambda pixels: float(pixels.sum()))
        inside = explain_image(score, ImagePreprocessor(4, "stretch"), {"photo": picture((0, 0))}, 64)
        assert np.array(inside.heatmaps[0].grid).shape == (4, 4)


def ngrams() -> TextPreprocessor:
    return TextPreprocessor(NgramTokenizer(2**24, 1, (0, 0), 200, True))


def has(preprocessor: Preprocessor, word: str) -> Score:
    """4 where a text has the word, else 0."""
    (bucket,) = preprocessor.canonical(word).tolist()
    return score_of(lambda ids: 4.0 * (bucket in ids))


class TestText:
    @pytest.mark.parametrize(
        "text",
        [
            "the honey is sweet",
            "honey",
            "  the\n honey",
            "no honey, thanks",
            "はい honey いいえ",
            "honey " + "x " * 63,
        ],
    )
    def test_the_word_that_decides_has_the_greatest_effect(self, text: str) -> None:
        preprocessor = ngrams()
        inside = EXPLAINERS["text"](has(preprocessor, "honey"), preprocessor, {"note": text}, 64)
        best = max((part for part in inside.effects if part.effect is not None), key=lambda part: part.effect)
        assert best.text.strip(",") == "honey"
        assert best.effect == pytest.approx(4.0)
        others = [part.effect for part in inside.effects if part is not best and part.effect is not None]
        assert not any(others)
        assert "".join(part.text for part in inside.effects) == text.rstrip() or text.startswith(" ")

    def test_a_word_that_is_there_twice_is_missed_by_neither(self) -> None:
        preprocessor = ngrams()
        inside = EXPLAINERS["text"](has(preprocessor, "honey"), preprocessor, {"note": "honey honey"}, 64)
        assert [part.effect for part in inside.effects] == [0.0, None, 0.0]

    def test_a_text_without_its_words_is_a_missing_input(self) -> None:
        score = score_of(lambda ids: 1.0, missing=-2.0)
        inside = EXPLAINERS["text"](score, ngrams(), {"note": "word"}, 64)
        assert [part.effect for part in inside.effects] == [3.0]

    def test_long_texts_are_divided_into_runs_and_cut_for_the_eye(self) -> None:
        preprocessor = ngrams()
        text = " ".join([f"w{i}" for i in range(200)] + ["honey"] + ["y"] * 4000)
        inside = EXPLAINERS["text"](has(preprocessor, "w150"), preprocessor, {"note": text}, 32)
        parts = [part for part in inside.effects if part.effect is not None]
        assert len(parts) == 32
        assert "w150" in max(parts, key=lambda part: part.effect or 0).text
        assert inside.effects[-1].text == " …"
        assert sum(len(part.text) for part in inside.effects) <= 2003


class TestTable:
    COLUMNS = ("age", "city", "height", "smokes")

    @pytest.fixture
    def preprocessor(self) -> TabularPreprocessor:
        rng = np.random.default_rng(0)
        table = pd.DataFrame(
            {
                "f.age": rng.normal(40, 10, 50),
                "f.city": rng.choice(["Bonn", "Ulm"], 50),
                "f.height": rng.normal(170, 9, 50),
                "f.smokes": rng.choice(["yes", "no"], 50),
            }
        ).astype(object)
        preprocessor = TabularPreprocessor(self.COLUMNS, {}, 10)
        preprocessor.fit(table)
        return preprocessor

    def test_the_column_that_decides_has_the_whole_effect(self, preprocessor: TabularPreprocessor) -> None:
        height = 1  # second of the numbers
        score = score_of(lambda row: 3.0 * row[height])
        row = {"age": 30.0, "city": "Bonn", "height": 190.0, "smokes": "no"}
        inside = EXPLAINERS["tabular"](score, preprocessor, row, 64)
        effects = {part.name: part.effect for part in inside.effects}
        assert effects["height"] == pytest.approx(3.0 * preprocessor.canonical(row)[height])
        assert {effects[name] for name in ("age", "city", "smokes")} == {0.0}
        assert [part.text for part in inside.effects] == ["30", "Bonn", "190", "no"]

    def test_effects_sum_to_what_the_whole_input_brings(self, preprocessor: TabularPreprocessor) -> None:
        rng = np.random.default_rng(1)
        weights = rng.normal(size=len(preprocessor.canonical({})))
        score = score_of(lambda row: float(np.tanh(row @ weights) * row[0]), missing=-1.5)
        row = {"age": 30.0, "city": "Bonn", "height": 190.0, "smokes": "no"}
        inside = EXPLAINERS["tabular"](score, preprocessor, row, 64)
        total = score([preprocessor.canonical(row)])[0] + 1.5
        assert sum(part.effect or 0 for part in inside.effects) == pytest.approx(total)

    def test_empty_cells_have_no_effect_and_many_columns_go_together(
        self, preprocessor: TabularPreprocessor
    ) -> None:
        score = score_of(lambda row: float(row.sum()))
        row = {"age": 30.0, "city": None, "height": float("nan"), "smokes": "no"}
        inside = EXPLAINERS["tabular"](score, preprocessor, row, 64)
        assert [(part.name, part.effect is None) for part in inside.effects] == [
            ("age", False),
            ("smokes", False),
            ("city", True),
            ("height", True),
        ]
        together = EXPLAINERS["tabular"](score, preprocessor, {**row, "city": "Ulm"}, 2)
        assert [part.name for part in together.effects] == ["age, city", "smokes", "height"]


def sound(start: float, pitch: float, seconds: float = 1.0) -> bytes:
    """Soft hiss with a loud tone of 0.1 s."""
    time = np.arange(int(RATE * seconds)) / RATE
    wave = np.random.default_rng(0).normal(0, 0.01, len(time))
    burst = (time >= start) & (time < start + 0.1)
    wave[burst] += 0.5 * np.sin(2 * np.pi * pitch * time[burst])
    file = io.BytesIO()
    sf.write(file, wave, RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


def listener() -> AudioPreprocessor:
    return AudioPreprocessor(RATE, 1.0, "start", trim_silence=False, normalise=False)


class TestAudio:
    @pytest.mark.parametrize("start", [0.0, 0.3, 0.7, 0.9])
    def test_the_stretch_that_decides_has_the_greatest_effect(self, start: float) -> None:
        score = score_of(lambda packed: float(np.square(unpack(packed)).sum()))
        inside = EXPLAINERS["audio"](score, listener(), {"call": sound(start, 1000)}, 64)
        grid = np.array(inside.heatmaps[0].grid)
        assert grid.shape == (4, 16)
        middle = (grid.sum(0).argmax() + 0.5) / 16
        assert start <= middle <= start + 0.1
        quiet = np.array([abs((stretch + 0.5) / 16 - start - 0.05) > 0.25 for stretch in range(16)])
        assert np.abs(grid[:, quiet]).max() < 0.02 * grid.max()

    @pytest.mark.parametrize(("pitch", "band"), [(100, 3), (500, 2), (1600, 1), (3200, 0)])
    def test_the_band_that_decides_has_the_greatest_effect_high_ones_above(
        self, pitch: float, band: int
    ) -> None:
        score = score_of(lambda packed: float(np.square(unpack(packed)).sum()))
        inside = EXPLAINERS["audio"](score, listener(), {"call": sound(0.4, pitch)}, 64)
        assert np.array(inside.heatmaps[0].grid).sum(1).argmax() == band
        assert (inside.heatmaps[0].seconds, inside.heatmaps[0].hertz) == (1.0, RATE / 2)

    def test_a_sound_of_which_nothing_is_hidden_stays_as_it_is(self) -> None:
        wave = unpack(listener().canonical(sound(0.3, 700)))
        heard: list[np.ndarray] = []

        def score(arrays: Sequence[np.ndarray | None]) -> np.ndarray:
            heard.extend(array for array in arrays if array is not None)
            return np.zeros(len(arrays))

        EXPLAINERS["audio"](score, listener(), {"call": sound(0.3, 700)}, 64)
        np.testing.assert_allclose(unpack(heard[0]), wave, atol=2**-16)  # 16 bits, there and back
        assert all(len(unpack(array)) == len(wave) for array in heard)

    @pytest.mark.parametrize("samples", [1, 5, 300])
    def test_the_shortest_sounds_and_silence_are_taken(self, samples: int) -> None:
        file = io.BytesIO()
        sf.write(file, np.zeros(samples), RATE, format="WAV")
        score = score_of(lambda packed: float(np.square(unpack(packed)).sum()))
        inside = EXPLAINERS["audio"](score, listener(), {"call": file.getvalue()}, 64)
        assert inside.strongest == 0
        assert Image.open(io.BytesIO(inside.heatmaps[0].image)).size[1] == 64


def test_the_same_is_found_again() -> None:
    score = score_of(lambda wave: float(np.abs(wave).sum()))
    first, second = (EXPLAINERS["audio"](score, listener(), {"call": sound(0.3, 900)}, 64) for _ in range(2))
    assert first == second
