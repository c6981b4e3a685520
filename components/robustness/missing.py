"""Inputs that are not there: taken away at random, and what stands for them where zeros are imputed."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import soundfile as sf
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from components.config.inputs import InputConfig
from components.inference.ensemble import InputEmbeddings
from components.inference.predictor import Predictor
from components.seeding import seed_of

_RATE = 8000  # Hz; silence sounds the same at any other
_SIDE = 8  # pixels; so does black


def black_picture(config: InputConfig) -> bytes:
    """A square PNG of zeros."""
    file = io.BytesIO()
    Image.new("RGB", (_SIDE, _SIDE)).save(file, "PNG")
    return file.getvalue()


def silence(config: InputConfig) -> bytes:
    """A WAV of zeros, as long as the longest clip that the model takes."""
    assert config.modality == "audio"
    file = io.BytesIO()
    sf.write(file, np.zeros(max(1, round(_RATE * config.seconds)), np.float32), _RATE, format="WAV")
    return file.getvalue()


def empty_text(config: InputConfig) -> str:
    """Text without a character."""
    return ""


def zero_cells(config: InputConfig) -> dict[str, int]:
    """0 in every column."""
    return dict.fromkeys(config.columns, 0)


ZEROS: Mapping[str, Callable[[InputConfig], bytes | str | dict[str, int]]] = {
    "image": black_picture,
    "audio": silence,
    "text": empty_text,
    "tabular": zero_cells,
}


def draws(ids: Sequence[str], inputs: Sequence[str], seed: int) -> np.ndarray:
    """A number in [0, 1) for each input of each row; the input is hidden at every rate above it. (N, M).

    Each comes from the seed, the row's id and the input's name alone, so what is hidden at one rate is hidden
    at every higher one, whatever other rows and inputs there are.
    """
    seeds = [seed_of(seed, "missing", key, name) for key in ids for name in inputs]
    found = [np.random.default_rng(own).random() for own in seeds]
    return np.array(found).reshape(len(ids), len(inputs))


def zero_parts(predictor: Predictor) -> dict[str, InputEmbeddings]:
    """One row in which every input is there and holds zeros, in the way a user would give them."""
    found = {}
    for name, config in predictor.bundle.inputs.items():
        zeros = ZEROS[config.modality](config)
        several = config.modality in ("image", "audio") and len(config.columns) > 1
        array = predictor.bundle.preprocessors[name].canonical([zeros] if several else zeros)
        found[name] = predictor.embed_input(name, {0: array}, 1)
    return found


def imputed(part: InputEmbeddings, zero: InputEmbeddings, keep: Tensor) -> InputEmbeddings:
    """An input with zeros in the rows that are not kept; it is there in all of them.

    Args:
        part: N rows of the input.
        zero: One row of it, of :func:`zero_parts`.
        keep: (N,) bool; only rows in which the input is there.
    """
    single = filled(part.single, zero.single, keep)
    fusion = single if part.fusion is part.single else filled(part.fusion, zero.fusion, keep)
    return InputEmbeddings(single, fusion, torch.ones_like(part.present))


def filled(values: Tensor, zero: Tensor, keep: Tensor) -> Tensor:
    """Rows of values (N, D) or (N, T, D) where kept, else zero (1, D) or (1, T', D), padded to the longer."""
    if not keep.any():
        return zero.expand(len(values), *zero.shape[1:])
    if values.dim() == 3:
        length = max(values.shape[1], zero.shape[1])
        values, zero = (F.pad(x, (0, 0, 0, length - x.shape[1])) for x in (values, zero))
    return torch.where(keep.to(values.device).reshape(-1, *[1] * (values.dim() - 1)), values, zero)
