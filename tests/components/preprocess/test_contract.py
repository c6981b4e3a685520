"""Contract of the preprocessors of all modalities."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from PIL import Image
from pydantic import TypeAdapter
from transformers import ViTConfig, ViTImageProcessor, Wav2Vec2Config, Wav2Vec2FeatureExtractor

from components.config.inputs import InputConfig
from components.errors import ModelError
from components.preprocess import Preprocessor, build_preprocessor, fingerprint, load_preprocessor

INPUTS: dict[str, dict[str, Any]] = {
    "image": {"modality": "image", "columns": "x", "size": 16},
    "audio": {"modality": "audio", "columns": "x", "rate": 4000, "seconds": 0.1},
    "ngrams": {"modality": "text", "columns": "x", "encoder": "ngrams"},
    "gru": {"modality": "text", "columns": "x", "encoder": {"name": "gru"}},
    "tabular": {"modality": "tabular", "columns": ["n", "c", "d"]},
}
OTHER: dict[str, dict[str, Any]] = {
    "image": {"fit_mode": "crop"},
    "audio": {"keep": "loudest"},
    "ngrams": {"lowercase": False},
    "gru": {"max_tokens": 7},
    "tabular": {"types": {"n": "categorical"}},
}


def config(name: str, **changes: Any) -> Any:
    return TypeAdapter(InputConfig).validate_python(INPUTS[name] | changes)


def values(name: str) -> list[Any]:
    rng = np.random.default_rng(0)
    match name:
        case "image":
            files = [io.BytesIO() for _ in range(3)]
            for size, file in zip((8, 20, 40), files, strict=True):
                Image.fromarray(rng.integers(0, 256, (size, 2 * size, 3), dtype=np.uint8)).save(file, "PNG")
            return [file.getvalue() for file in files]
        case "audio":
            files = [io.BytesIO() for _ in range(3)]
            for length, file in zip((5, 400, 9000), files, strict=True):
                sf.write(file, rng.normal(0, 0.1, length), 8000, format="WAV")
            return [file.getvalue() for file in files]
        case "tabular":
            return [{"n": 1, "c": "a", "d": "2024-01-01"}, {"n": 2.5, "c": None}, {"d": "2024-05-06"}]
        case _:
            return ["the cat sat", "on", "the mat, the mat"]


def fitted(name: str, **changes: Any) -> Preprocessor:
    preprocessor = build_preprocessor(config(name, **changes))
    columns = {
        "x.top": [None] * 5,
        "x.text": ["the cat sat on the mat"] * 5,
        "x.n": ["1", "2", "3", "4", ""],
        "x.c": list("aabbc"),
        "x.d": ["2024-01-01", "2024-02-02", None, "2024-03-03", "2024-04-04"],
    }
    preprocessor.fit(pd.DataFrame(columns))
    return preprocessor


@pytest.mark.parametrize("name", INPUTS)
class TestEvery:
    def test_state_survives_json_and_rebuilds_the_same(self, name: str) -> None:
        preprocessor = fitted(name)
        rebuilt = load_preprocessor(json.loads(json.dumps(preprocessor.state())))
        assert fingerprint(rebuilt) == fingerprint(preprocessor)
        assert rebuilt.modality == preprocessor.modality == INPUTS[name]["modality"]
        for value in values(name):
            assert np.array_equal(rebuilt.canonical(value), preprocessor.canonical(value))

    def test_the_fingerprint_follows_settings_and_learning(self, name: str) -> None:
        assert fingerprint(fitted(name)) == fingerprint(fitted(name))
        assert fingerprint(fitted(name)) != fingerprint(fitted(name, **OTHER[name]))
        if name in ("gru", "tabular"):
            assert fingerprint(build_preprocessor(config(name))) != fingerprint(fitted(name))

    def test_a_row_is_the_same_in_any_batch(self, name: str) -> None:
        preprocessor = fitted(name)
        rows = [preprocessor.canonical(value) for value in values(name)]
        together = preprocessor.collate(rows)
        for number, row in enumerate(rows):
            alone = preprocessor.collate([row])
            for key, tensor in together.items():
                cut = tuple(slice(length) for length in alone[key].shape[1:])  # the rest is padding
                assert torch.equal(tensor[(number, *cut)], alone[key][0])


class TestPretrained:
    def test_a_picture_takes_the_models_size(self, tmp_path: Path) -> None:
        ViTConfig(image_size=48).save_pretrained(tmp_path)
        ViTImageProcessor(size={"height": 48, "width": 48}).save_pretrained(tmp_path)
        encoder = {"name": "pretrained", "model": str(tmp_path)}
        preprocessor = build_preprocessor(config("image", size=None, encoder=encoder))
        assert preprocessor.state()["size"] == 48
        assert build_preprocessor(config("image", size=32, encoder=encoder)).state()["size"] == 32

    def test_a_sound_takes_the_models_rate_and_no_other(self, tmp_path: Path) -> None:
        Wav2Vec2Config().save_pretrained(tmp_path)
        Wav2Vec2FeatureExtractor(sampling_rate=24000).save_pretrained(tmp_path)
        encoder = {"name": "pretrained", "model": str(tmp_path)}
        assert build_preprocessor(config("audio", rate=None, encoder=encoder)).state()["rate"] == 24000
        with pytest.raises(ModelError, match=r"rate: 4000 Hz, but the pretrained model .* on 24000 Hz"):
            build_preprocessor(config("audio", encoder=encoder))

    def test_a_model_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        ViTConfig(image_size=48).save_pretrained(tmp_path)
        encoder = {"name": "pretrained", "model": str(tmp_path)}
        with pytest.raises(ModelError, match="is no model for audio"):
            build_preprocessor(config("audio", rate=None, encoder=encoder))


def test_defaults_are_64_pixels_and_16_kilohertz() -> None:
    assert build_preprocessor(config("image", size=None)).state()["size"] == 64
    assert build_preprocessor(config("audio", rate=None)).state()["rate"] == 16000
