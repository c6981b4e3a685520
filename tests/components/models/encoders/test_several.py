"""Several images or audio clips of one row: prepared and embedded alike, pooled without regard to order."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from PIL import Image

from components.config.encoders import AudioCNNConfig, CNNConfig
from components.config.inputs import AudioInput, ImageInput
from components.models.encoders import build_encoder
from components.models.encoders.several import Several
from components.preprocess import build_preprocessor, fingerprint, load_preprocessor
from components.preprocess.several import SeveralPreprocessor


def picture(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (12, 12), (value, 255 - value, 0)).save(file, "PNG")
    return file.getvalue()


def sound(length: int) -> bytes:
    file = io.BytesIO()
    sf.write(file, 0.1 * np.sin(np.arange(length)), 4000, format="WAV")
    return file.getvalue()


def views(pooling: str = "mean") -> tuple[SeveralPreprocessor, Several]:
    section = ImageInput(
        columns=["front", "back", "top"],
        size=12,
        pooling=pooling,  # type: ignore[arg-type]
        encoder=CNNConfig(width=6, channels=[4]),
    )
    preprocessor = build_preprocessor(section)
    assert isinstance(preprocessor, SeveralPreprocessor)
    torch.manual_seed(0)
    encoder = build_encoder(section.encoder, preprocessor).eval()
    assert isinstance(encoder, Several)
    return preprocessor, encoder


def test_the_mean_is_that_of_the_single_items() -> None:
    preprocessor, encoder = views()
    rows = [[picture(0), picture(90)], [picture(200)], [picture(10), picture(90), picture(250)]]
    pooled = encoder(preprocessor.collate([preprocessor.canonical(row) for row in rows]))
    for row, items in enumerate(rows):
        each = [preprocessor.each.canonical(item) for item in items]
        alone = encoder.each(preprocessor.each.collate(each)).mean(0)
        torch.testing.assert_close(pooled[row], alone)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_the_order_of_the_items_and_other_rows_do_not_matter(pooling: str) -> None:
    preprocessor, encoder = views(pooling)
    items = [picture(0), picture(90), picture(250)]

    def embedded(*rows: list[bytes]) -> torch.Tensor:
        return encoder(preprocessor.collate([preprocessor.canonical(row) for row in rows]))[0]

    torch.testing.assert_close(embedded(items), embedded(items[::-1], [picture(7)]))


def test_attention_is_a_weighted_mean_and_learns() -> None:
    preprocessor, encoder = views("attention")
    batch = preprocessor.collate([preprocessor.canonical([picture(0), picture(250)])])
    each = encoder.each({name: value for name, value in batch.items() if name != "items"})
    assert encoder.attention is not None
    weight = encoder.attention(each).softmax(0)
    torch.testing.assert_close(encoder(batch)[0], (weight * each).sum(0))
    encoder(batch).square().sum().backward()
    assert all(value.grad is not None for value in encoder.attention.parameters())


def test_sounds_of_different_length_stay_themselves() -> None:
    section = AudioInput(columns=["a", "b"], rate=4000, seconds=0.5, encoder=AudioCNNConfig(width=4))
    preprocessor = build_preprocessor(section)
    assert isinstance(preprocessor, SeveralPreprocessor)
    row = preprocessor.canonical([sound(900), sound(1500)])
    batch = preprocessor.collate([row, preprocessor.canonical([sound(1200)])])
    assert batch["length"].tolist() == [900, 1500, 1200]
    assert batch["items"].tolist() == [2, 1]
    alone = preprocessor.each.collate([preprocessor.each.canonical(sound(900))])
    torch.testing.assert_close(batch["wave"][0], alone["wave"][0])


def test_the_preprocessor_comes_back_from_its_state() -> None:
    preprocessor, _ = views("attention")
    again = load_preprocessor(preprocessor.state())
    assert isinstance(again, SeveralPreprocessor)
    assert (fingerprint(again), again.pooling) == (fingerprint(preprocessor), "attention")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": ["front"], "pooling": "attention"}, "attention is for several columns"),
        (
            {
                "columns": ["a", "b"],
                "pooling": "attention",
                "encoder": {"name": "pretrained", "model": "org/name"},
            },
            "the encoder is not trained",
        ),
    ],
)
def test_attention_needs_several_columns_and_a_fit(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageInput(**changes)  # type: ignore[arg-type]


def test_paths_are_taken_too(tmp_path: Path) -> None:
    preprocessor, _ = views()
    (tmp_path / "a.png").write_bytes(picture(3))
    stack = preprocessor.canonical([str(tmp_path / "a.png"), picture(3)])
    np.testing.assert_array_equal(stack[0], stack[1])
