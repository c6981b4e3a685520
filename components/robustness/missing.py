"""Missing inputs: hidden at random, or replaced by zeros."""

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import soundfile as sf
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from components.config import InputConfig
from components.inference.ensemble import InputEmbeddings
from components.inference.predictor import Predictor
from components.seeding import seed_of

_RATE = 8000  # Hz; silence is the same at every rate
_SIDE = 8  # pixels; black is the same at every size


def black_image(config: InputConfig) -> bytes:
    """Make a square PNG of zeros."""
    file = io.BytesIO()
    Image.new("RGB", (_SIDE, _SIDE)).save(file, "PNG")
    return file.getvalue()


def silence(config: InputConfig) -> bytes:
    """Make a WAV of zeros, as long as the longest clip that the model takes."""
    assert config.modality == "audio"
    file = io.BytesIO()
    sf.write(file, np.zeros(max(1, round(_RATE * config.seconds)), np.float32), _RATE, format="WAV")
    return file.getvalue()


def empty_text(config: InputConfig) -> str:
    """Make text without a character."""
    return ""


def zero_cells(config: InputConfig) -> dict[str, int]:
    """Fill every column with 0."""
    return dict.fromkeys(config.columns, 0)


ZEROS: Mapping[str, Callable[[InputConfig], bytes | str | dict[str, int]]] = {
    "image": black_image,
    "audio": silence,
    "text": empty_text,
    "tabular": zero_cells,
}


def draws(ids: Sequence[str], inputs: Sequence[str], seed: int) -> np.ndarray:
    """Draw a number in [0, 1) for each input of each row; the input is hidden at every rate above it. (N, M).

    Each draw depends on the seed, the row's id and the input's name alone, not on other rows or inputs. An
    input hidden at one rate is hidden at every higher one.
    """
    seeds = [seed_of(seed, "missing", key, name) for key in ids for name in inputs]
    numbers = [np.random.default_rng(own).random() for own in seeds]
    return np.array(numbers).reshape(len(ids), len(inputs))


def zero_parts(predictor: Predictor) -> dict[str, InputEmbeddings]:
    """Embed one row whose inputs are all present and hold zeros, as a user would give them."""
    zero = {}
    for name, config in predictor.bundle.inputs.items():
        zeros = ZEROS[config.modality](config)
        several = config.modality in ("image", "audio") and len(config.columns) > 1
        array = predictor.bundle.preprocessors[name].canonical([zeros] if several else zeros)
        zero[name] = predictor.embed_input(name, {0: array}, 1)
    return zero


def imputed(part: InputEmbeddings, zero: InputEmbeddings, keep: Tensor) -> InputEmbeddings:
    """Put zeros into the other rows of an input, so that it is present in all rows.

    Args:
        part: N rows of the input.
        zero: One row of the input, from :func:`zero_parts`.
        keep: (N,) bool; true only for rows with the input.
    """
    single = filled(part.single, zero.single, keep)
    fusion = single if part.fusion is part.single else filled(part.fusion, zero.fusion, keep)
    return InputEmbeddings(single, fusion, torch.ones_like(part.present))


def filled(values: Tensor, zero: Tensor, keep: Tensor) -> Tensor:
    """Fill other rows of (N, D) or (N, T, D) with zero (1, D) or (1, T', D), padded to the longer."""
    if not keep.any():
        return zero.expand(len(values), *zero.shape[1:])
    if values.dim() == 3:
        length = max(values.shape[1], zero.shape[1])
        values, zero = (F.pad(x, (0, 0, 0, length - x.shape[1])) for x in (values, zero))
    return torch.where(keep.to(values.device).reshape(-1, *[1] * (values.dim() - 1)), values, zero)
