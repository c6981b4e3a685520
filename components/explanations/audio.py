"""Effects of stretches of time and bands of frequency in audio, each turned down to the clip's background.

The waveform is changed, by a short-time Fourier transform and back, because every encoder takes waveforms.
Spectrograms differ: `audio_cnn` computes its own, feature extractors in numpy make those of pretrained
models, and wav2vec 2.0 has none.
"""

import math
from collections.abc import Mapping
from functools import partial
from math import isqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.explanations.image import png
from components.explanations.media import each_item, explain_media, largest
from components.explanations.parts import Score, occlude, taken_away
from components.explanations.results import Heatmap, Inside
from components.models.encoders.audio_cnn import mel_filters
from components.preprocess import Preprocessor
from components.preprocess.audio import AudioPreprocessor
from components.preprocess.pcm import pack, unpack

_WINDOW = 0.032  # seconds
_BACKGROUND = 0.1  # quantile of the magnitudes; no microphone records zeros
_MELS, _FRAMES = 64, 240  # size of the spectrogram that is shown
_WHITE = 0.3  # quantile of the levels that is drawn white; the loudest is black


def explain_audio(score: Score, preprocessor: Preprocessor, cells: Mapping[str, Any], detail: int) -> Inside:
    """Find the effects of patches of time and frequency, on the waveforms that the model takes.

    Args:
        cells: Path, URL or bytes by column; None where a cell is empty.
        detail: Most patches: 64 are 16 stretches of time × 4 bands of one clip, evenly spaced on the mel
            scale, or 8 × 2 of each of four clips.
    """
    audio = each_item(largest(preprocessor))
    assert isinstance(audio, AudioPreprocessor)
    return explain_media(score, preprocessor, cells, detail, "audio", partial(_heatmap, audio.rate))


def _heatmap(rate: int, score: Score, column: str, packed: np.ndarray, detail: int) -> Heatmap:
    """Turn down patches of packed audio, int16 (1 + S,), at ``rate`` Hz."""
    wave = torch.from_numpy(unpack(packed))  # (S,)
    size = 2 ** math.ceil(math.log2(max(16.0, _WINDOW * rate)))
    taper = torch.hann_window(size)
    spectrum = torch.stft(
        wave, size, size // 4, window=taper, pad_mode="constant", return_complex=True
    )  # (bins, frames)
    quiet = _quieten(spectrum)
    bands = max(1, isqrt(detail) // 2)
    times = min(detail // bands, spectrum.shape[1])
    band = torch.from_numpy(_bands(rate, size, bands))  # (bins,)
    time = torch.arange(spectrum.shape[1]) * times // spectrum.shape[1]  # (frames,)

    def hide(mask: np.ndarray) -> np.ndarray:
        keep = torch.from_numpy(mask)[band][:, time]  # (bins, frames)
        changed = torch.where(keep, spectrum, quiet)
        left = torch.istft(changed, size, size // 4, window=taper, length=len(wave))  # (S,)
        return pack(left.clamp(-1, 1).numpy())

    grid = occlude(score, hide, bands, times)[::-1]  # high above low
    return Heatmap(
        column,
        taken_away(score, packed),
        tuple(map(tuple, grid.tolist())),
        png(_spectrogram(spectrum.abs().square(), rate, size)),
        seconds=len(wave) / rate,
        hertz=rate / 2,
    )


def _quieten(spectrum: Tensor) -> Tensor:
    """Limit every magnitude to the background; phases stay."""
    size = spectrum.abs()
    background = torch.from_numpy(np.quantile(size.numpy(), _BACKGROUND, keepdims=True)).to(size)
    return spectrum * (background / size.clamp(min=1e-12)).clamp(max=1)


def _bands(rate: int, size: int, bands: int) -> np.ndarray:
    """Number the band of each bin of a Fourier transform, evenly on the mel scale. (size // 2 + 1,)."""
    mel = np.log1p(np.linspace(0, rate / 2, size // 2 + 1) / 700)
    return np.minimum((mel / mel[-1] * bands).astype(int), bands - 1)


def _spectrogram(power: Tensor, rate: int, size: int) -> np.ndarray:
    """Draw a log-mel spectrogram in which loud is dark and high is up: uint8 (mels, frames).

    Args:
        power: (bins, frames).
        rate: Sampling rate in Hz.
        size: Window of the Fourier transform in samples.
    """
    level = torch.log10(mel_filters(rate, size, _MELS).T @ power + 1e-12)  # (mels, frames)
    level = torch.nn.functional.adaptive_max_pool1d(level, min(level.shape[1], _FRAMES))
    span = (level.max() - np.quantile(level.numpy(), _WHITE)).clamp(min=1.0)  # of silence too
    grey = ((level.max() - level) / span).clamp(0, 1) * 255
    return grey.flip(0).round().byte().numpy()
