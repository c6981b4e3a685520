"""Rules for every corruption: severity 0 changes nothing, the same draws every time, nested ladders."""

from __future__ import annotations

import io
from typing import Any, get_args

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from components.config.evaluation import CorruptionName
from components.robustness.corruptions import CORRUPTIONS, SEVERITIES, corrupt, corruptions

EVERY = [(modality, name) for modality, ladder in CORRUPTIONS.items() for name in ladder]
SCALES = {"age": 8.0, "height": 0.1}


def picture() -> bytes:
    """Smooth colours with an edge, 60 × 40."""
    x, y = np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 40))
    pixels = np.stack([255 * x, 255 * y, np.where(x > 0.5, 230, 20)], axis=2).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def sound() -> bytes:
    """Half a second of two tones, one a channel."""
    time = np.arange(4000) / 8000
    wave = np.stack([0.4 * np.sin(2 * np.pi * 440 * time), 0.3 * np.sin(2 * np.pi * 700 * time)], axis=1)
    file = io.BytesIO()
    sf.write(file, wave, 8000, format="WAV")
    return file.getvalue()


VALUES: dict[str, Any] = {
    "image": picture(),
    "audio": sound(),
    "text": "The quick brown fox jumps over the lazy dog, and 12 others look on from the hill. " * 3,
    "tabular": {"age": 31, "height": "1,80", "city": "Bonn", "note": None, "ok": True, "x": 1.5},
}


def damaged(modality: str, name: str, severity: int, value: Any = None, sample: str = "row-1") -> Any:
    corruption = corruptions(modality, SCALES)[name]
    given = VALUES[modality] if value is None else value
    return corrupt(corruption, name, given, severity, seed=7, sample=sample)


def test_the_configuration_names_every_corruption() -> None:
    assert list(get_args(CorruptionName)) == [name for _, name in EVERY]


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_severity_0_gives_the_value_itself(modality: str, name: str) -> None:
    assert damaged(modality, name, 0) is VALUES[modality]


@pytest.mark.parametrize(("modality", "name"), EVERY)
@pytest.mark.parametrize("severity", [0, *SEVERITIES])
def test_a_missing_value_stays_missing(modality: str, name: str, severity: int) -> None:
    assert corrupt(corruptions(modality)[name], name, None, severity) is None


@pytest.mark.parametrize(("modality", "name"), EVERY)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_same_draws_every_time_and_the_value_given_is_left_alone(
    modality: str, name: str, severity: int
) -> None:
    before = dict(VALUES[modality]) if modality == "tabular" else VALUES[modality]
    first, second = (damaged(modality, name, severity) for _ in range(2))
    assert first == second
    assert type(first) is type(VALUES[modality])
    assert VALUES[modality] == before


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_the_heaviest_damage_changes_something(modality: str, name: str) -> None:
    assert damaged(modality, name, 5) != VALUES[modality]


DRAWN = [pair for pair in EVERY if pair[1] not in ("gaussian_blur", "jpeg", "clipping")]


@pytest.mark.parametrize(("modality", "name"), DRAWN)
def test_every_sample_has_draws_of_its_own(modality: str, name: str) -> None:
    # eight samples: two of six cells may lose the same ones
    results = [damaged(modality, name, 4, sample=f"row-{number}") for number in range(8)]
    assert len({str(value) for value in results}) > 2


@pytest.mark.parametrize("severity", [-1, 6])
def test_other_severities_are_refused(severity: int) -> None:
    with pytest.raises(ValueError, match=rf"severity {severity}: expected 0 to 5"):
        damaged("text", "typos", severity)


@pytest.mark.parametrize("name", CORRUPTIONS["text"])
@given(text=st.text(max_size=200), severity=st.sampled_from(SEVERITIES))
def test_any_text_can_be_damaged_and_what_has_text_keeps_some(name: str, text: str, severity: int) -> None:
    result = damaged("text", name, severity, text)
    assert bool(result.strip()) == bool(text.strip())
