"""Demo data set: real handwritten digits, each with a generated tone and a generated clue.

The images are scikit-learn's `load_digits` (Alpaydin & Kaynak 1998, "Optical recognition of handwritten
digits", UCI; 8 × 8 pixels, 43 writers), enlarged, partly covered and with noise. Tone and clue are
generated from the label. Each input alone leaves several digits possible; all together leave one.
"""

import csv
import io
from pathlib import Path

import numpy as np
import soundfile as sf
from PIL import Image
from sklearn.datasets import load_digits

RATE = 8000  # Hz
SECONDS = 0.4
SIDE = 32  # pixels
TRAIN, VAL = 1200, 250  # rows; the other 347 are the test
MISSING = 0.06  # probability of each input to be missing; every row has at least one

_PIXEL_NOISE = 5.0  # of 16 grey levels
_COVERED = 3  # rows or columns of 8
_DRIFT = 0.058  # relative spread of a voice's formants
_HISS = 0.5  # standard deviation of the noise, relative to the tone

_FIRST = (300.0, 380.0, 480.0, 600.0, 760.0)  # Hz; first formant, by digit modulo 5
_SECOND = (1100.0, 2000.0)  # Hz; second formant, of digits below 5 and from 5
_FACTS: tuple[tuple[frozenset[int], tuple[str, ...], tuple[str, ...]], ...] = (
    (
        frozenset({0, 2, 4, 6, 8}),
        ("even", "divisible by two", "comes in pairs"),
        ("odd", "uneven", "not even"),
    ),
    (frozenset({0, 1, 2, 3, 4}), ("small", "less than five", "low"), ("big", "at least five", "high")),
    (frozenset({2, 3, 5, 7}), ("prime", "a prime number"), ("not prime", "no prime number")),
    (
        frozenset({0, 3, 6, 9}),
        ("a multiple of three", "divisible by three"),
        ("not a multiple of three", "three leaves a rest"),
    ),
    (frozenset({0, 6, 8, 9}), ("closed loop", "has a ring"), ("no loop", "without a ring")),
)
_FACTS_PER_CLUE = 3
_OPENINGS = ("the number is", "it is", "I heard it is", "they say:", "must be", "")


def generate(folder: Path, seed: int) -> None:
    """Write ``manifest.csv`` (id, split, label, image, audio, clue; relative paths) and its files."""
    digits = load_digits()
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "audio").mkdir()
    order = rng.permutation(len(digits.target))
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", "image", "audio", "clue"])
        for number, index in enumerate(order):
            split = "train" if number < TRAIN else "val" if number < TRAIN + VAL else "test"
            digit, name = int(digits.target[index]), f"{split}-{number:04d}"
            image, audio, clue = f"images/{name}.png", f"audio/{name}.wav", _clue(digit, rng)
            # All inputs are generated before any is dropped, so that the draws of later rows do not change.
            pixels, tone = Image.fromarray(_image(digits.images[index], rng)), _wav(_tone(digit, rng))
            present = rng.random(3) >= MISSING  # (3,)
            present[rng.integers(3)] = True
            cells = [cell if given else "" for cell, given in zip((image, audio, clue), present, strict=True)]
            if present[0]:
                pixels.save(folder / image)
            if present[1]:
                (folder / audio).write_bytes(tone)
            writer.writerow([name, split, digit, *cells])


def _image(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a grey image, uint8 (32, 32), dark on light, with noise and a covered band of rows or columns."""
    ink = pixels + rng.normal(0, _PIXEL_NOISE, pixels.shape)  # (8, 8), 0 to 16
    band = slice(start := int(rng.integers(0, 8 - _COVERED + 1)), start + _COVERED)
    if rng.random() < 0.5:
        ink[band] = 8
    else:
        ink[:, band] = 8
    grey = np.clip(255 - ink * (255 / 16), 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _tone(digit: int, rng: np.random.Generator) -> np.ndarray:
    """Generate two formants of a drifting voice under noise, float64 (3200,) in [-1, 1]."""
    time = np.arange(int(RATE * SECONDS)) / RATE  # (3200,) seconds
    voice = rng.normal(0, _DRIFT)
    wave = np.zeros_like(time)
    for formant, loudness in ((_FIRST[digit % 5], 1.0), (_SECOND[digit // 5], 0.6)):
        pitch = formant * np.exp(voice + rng.normal(0, _DRIFT)) * (1 + 0.02 * np.sin(2 * np.pi * 5 * time))
        wave += loudness * np.sin(2 * np.pi * np.cumsum(pitch) / RATE + rng.uniform(0, 2 * np.pi))
    start, length = rng.uniform(0, 0.1), rng.uniform(0.2, 0.28)  # seconds
    envelope = np.clip(np.minimum(time - start, start + length - time) / 0.03, 0, 1)
    wave = wave * envelope + rng.normal(0, _HISS, time.shape)
    return 0.5 * wave / np.abs(wave).max()


def _wav(wave: np.ndarray) -> bytes:
    """Encode a tone as WAV; in memory, as soundfile flushes each file on disk, which is slow."""
    file = io.BytesIO()
    sf.write(file, wave, RATE, subtype="PCM_16", format="WAV")
    return file.getvalue()


def _clue(digit: int, rng: np.random.Generator) -> str:
    """Return three facts about the digit, in words chosen at random."""
    chosen = rng.choice(len(_FACTS), _FACTS_PER_CLUE, replace=False)
    facts = [
        str(rng.choice(_FACTS[fact][1] if digit in _FACTS[fact][0] else _FACTS[fact][2])) for fact in chosen
    ]
    return f"{rng.choice(_OPENINGS)} {', '.join(facts)}".strip()
