"""Properties of any bytes, any audio, any image and any table."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.data.sources.delimited import open_delimited
from components.data.sources.json_lines import open_jsonl
from components.preprocess.audio import AudioPreprocessor
from components.preprocess.image import ImagePreprocessor
from components.preprocess.pcm import unpack
from tests.acceptance.bad_input.audio import recorded
from tests.acceptance.bad_input.images import saved
from tests.acceptance.bad_input.targets import TARGETS, config

WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=30)


def spoiled(data: bytes, draw: st.DrawFn) -> bytes:
    """A file with bytes changed, taken out and put in."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(changed)))
        length = draw(st.sampled_from([0, 1, 2, 4, 60, 2000]))
        changed[at : at + length] = draw(st.binary(max_size=8))
    return bytes(changed)


@cache
def _seeds(name: str) -> list[bytes]:
    return TARGETS[name][1]()


@st.composite
def any_file(draw: st.DrawFn, name: str) -> bytes:
    """Bytes of any kind, mostly a file of the target that has been spoiled."""
    seeds = _seeds(name)
    return (
        draw(st.binary(max_size=200))
        if draw(st.integers(0, 4)) == 0
        else spoiled(draw(st.sampled_from(seeds)), draw)
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=30)
@given(data=st.data())
def test_any_bytes_are_used_or_refused(name: str, data: st.DataObject) -> None:
    TARGETS[name][0](data.draw(any_file(name)))


@given(
    channels=st.integers(1, 8),
    rate=st.integers(1, 384_000),
    subtype=st.sampled_from(["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]),
    frames=st.integers(1, 3000),
    level=st.floats(-0.9, 0.9),
)
@settings(max_examples=60)
def test_audio_of_any_layout_keeps_its_level(
    channels: int, rate: int, subtype: str, frames: int, level: float
) -> None:
    each = level * (np.arange(channels) + 1) / channels
    data = recorded(np.tile(each, (frames, 1)), rate=rate, subtype=subtype)
    wave = unpack(AudioPreprocessor(rate, 1e4, "middle", False, False).canonical(data))
    assert wave.shape == (frames,)
    np.testing.assert_allclose(wave, each.mean(), atol=8e-3)  # a step of 8 bits


@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]),
    width=st.integers(1, 200),
    height=st.integers(1, 200),
    level=st.integers(0, 255),
    size=st.integers(8, 40),
    fit=st.sampled_from(["crop", "pad", "stretch"]),
)
@settings(max_examples=60)
def test_an_image_of_any_layout_keeps_its_level(
    mode: str, width: int, height: int, level: int, size: int, fit: Any
) -> None:
    level = 255 * (level > 127) if mode == "1" else level
    grey = np.full((height, width), level, np.uint8)
    deep = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
    if mode in deep:
        scale = 257 if mode != "F" else 1 / 255
        image = Image.fromarray((grey * np.float64(scale)).astype(deep[mode]))
    else:
        own = Image.Palette.ADAPTIVE  # the web's would be dithered
        image = Image.fromarray(grey).convert("RGB").convert(mode, palette=own)
    made = ImagePreprocessor(size, fit).canonical(
        saved(image, "PNG" if mode in ("1", "P", "LA", "RGBA") else "TIFF")
    )
    assert made.shape == (size, size, 3)
    narrow = min(width, height) * size < max(width, height) * 3  # then padding reaches the centre
    if (fit == "pad" and narrow) or (mode == "I" and 0 < level * 257 <= 255):
        return  # 32 bits of at most 255 are taken for eight
    assert np.abs(made[size // 2, size // 2].astype(int) - level).max() <= 3


@given(rows=st.lists(st.fixed_dictionaries({"id": WORD, "note": WORD}), min_size=1, max_size=6))
def test_a_csv_gives_back_every_cell(rows: list[dict[str, str]]) -> None:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["id", "note"], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_text(file.getvalue(), "utf-8", newline="")
        (batch,) = open_delimited(str(path), ",").batches(["id", "note"])
    assert batch == {name: [row[name] for row in rows] for name in ("id", "note")}


CELL = st.none() | st.booleans() | st.integers() | WORD


@given(rows=st.lists(st.dictionaries(WORD, CELL, min_size=1), min_size=1, max_size=5))
def test_json_lines_give_back_every_cell(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        manifest = open_jsonl(str(path))
        result = list(manifest.batches(manifest.columns))
    assert [{name: cells[0] for name, cells in batch.items()} for batch in result] == [
        {name: row.get(name) for name in manifest.columns} for row in rows
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
OPTIONS = [
    "name",
    "data",
    "inputs",
    "fusion",
    "training",
    "seed",
    "target",
    "evaluation",
    "promotion",
    "balance",
]


@settings(max_examples=60)
@given(values=st.dictionaries(st.sampled_from(OPTIONS), VALUES, max_size=4))
def test_any_yaml_is_a_pipeline_or_an_error_that_names_the_file(values: dict[str, Any]) -> None:
    inputs = {"note": {"modality": "text", "columns": "n"}}
    whole = {"name": "t", "data": {"source": "x"}, "inputs": inputs, **values}
    config(yaml.safe_dump(whole, allow_unicode=True).encode("utf-8", "replace"))
