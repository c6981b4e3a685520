"""Damaged text and cells: how much of them, and that a ladder is nested."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.robustness.corruptions import SEVERITIES
from tests.components.robustness.corruptions.test_corruption import SCALES, VALUES, damaged


class TestText:
    def test_words_are_lost_at_the_chance_that_it_says_and_stay_lost(self) -> None:
        words = [f"w{number}" for number in range(2000)]
        before = set(words)
        for severity, chance in zip(SEVERITIES, (0.1, 0.2, 0.35, 0.5, 0.7), strict=True):
            left = damaged("text", "word_dropout", severity, " ".join(words)).split()
            assert left == [word for word in words if word in set(left)], "their order stays"
            assert set(left) <= before
            assert len(left) / 2000 == pytest.approx(1 - chance, abs=0.04)  # four standard errors
            before = set(left)

    def test_slips_are_made_at_the_chance_that_it_says_and_made_again_at_every_higher_severity(self) -> None:
        before = ["g"] * 3000  # one letter a word, so that each slip shows where it was made
        for severity, chance in zip(SEVERITIES, (0.03, 0.06, 0.1, 0.15, 0.25), strict=True):
            letters = damaged("text", "typos", severity, " ".join(["g"] * 3000)).split(" ")
            assert len(letters) == 3000
            assert all(old in ("g", new) for old, new in zip(before, letters, strict=True))
            slips = [word for word in letters if word != "g"]
            assert len(slips) / 3000 == pytest.approx(chance, abs=0.032)  # four standard errors
            assert all(0.2 < slips.count(word) / len(slips) < 0.47 for word in ("", "gg"))
            before = letters

    def test_a_substitute_lies_beside_the_key_and_keeps_its_case(self) -> None:
        text = damaged("text", "typos", 5, "G" * 400)
        assert set(text) == {"G", "F", "H"}

    @pytest.mark.parametrize("text", ["добрый день всем", "こんにちは世界", "مرحبا بالعالم", "नमस्ते दुनिया"])
    def test_other_scripts_keep_their_letters(self, text: str) -> None:
        for severity in SEVERITIES:
            assert set(damaged("text", "typos", severity, text * 5)) <= set(text)

    @pytest.mark.parametrize("text", ["", " ", "\n", "👩‍👩‍👧", "\ud800", "a", "?!", "\x00"])
    @pytest.mark.parametrize("name", ["typos", "word_dropout"])
    def test_odd_texts_do_no_harm(self, name: str, text: str) -> None:
        for severity in SEVERITIES:
            assert isinstance(damaged("text", name, severity, text), str)

    @pytest.mark.parametrize("text", ["世界平和", "ภาษาไทย"])
    def test_scripts_without_spaces_lose_signs_one_at_a_time(self, text: str) -> None:
        left = damaged("text", "word_dropout", 4, text * 500)
        assert len(left) / len(text * 500) == pytest.approx(0.5, abs=0.05)  # four standard errors
        assert set(left) == set(text)

    def test_punctuation_and_spaces_stay(self) -> None:
        signs = [letter for letter in VALUES["text"] if not letter.isalnum()]
        assert [letter for letter in damaged("text", "typos", 5) if not letter.isalnum()] == signs


class TestCells:
    def test_noise_is_in_training_deviations_and_grows_in_proportion(self) -> None:
        off = [damaged("tabular", "number_noise", severity)["age"] - 31 for severity in SEVERITIES]
        assert np.array(off) / off[3] == pytest.approx([0.1, 0.25, 0.5, 1, 2])
        many = [
            damaged("tabular", "number_noise", 4, sample=str(number))["age"] - 31 for number in range(500)
        ]
        assert np.std(many) == pytest.approx(SCALES["age"], rel=0.12)  # four standard errors of 500 draws

    def test_only_numbers_of_numeric_columns_change(self) -> None:
        noisy = damaged("tabular", "number_noise", 5)
        assert {name for name in noisy if noisy[name] != VALUES["tabular"][name]} == {"age", "height"}
        assert abs(noisy["height"] - 1.8) < 1, "text that says a number is that number, off"

    @pytest.mark.parametrize("cell", [None, float("nan"), "", "unknown", "n/a"])
    def test_a_cell_without_a_number_stays(self, cell: Any) -> None:
        noisy = damaged("tabular", "number_noise", 5, {"age": cell, "city": "Bonn"})
        assert noisy["age"] is cell

    def test_a_cell_that_is_empty_stays_empty(self) -> None:
        cells = {f"c{number}": number for number in range(1000)}
        before: set[str] = set()
        for severity, chance in zip(SEVERITIES, (0.1, 0.2, 0.35, 0.5, 0.7), strict=True):
            emptied = damaged("tabular", "missing_cells", severity, cells)
            empty = {name for name, cell in emptied.items() if cell is None}
            assert before <= empty
            assert len(empty) / 1000 == pytest.approx(chance, abs=0.06)  # four standard errors
            assert all(emptied[name] == cells[name] for name in cells if name not in empty)
            before = empty
