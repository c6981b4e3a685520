"""Statistics of a log-mel spectrogram and its cepstrum, without anything to train."""

import math

import torch
from torch import Tensor

from components.models.encoders.audio_cnn import LogMel
from components.models.encoders.protocol import Encoder

_MELS, _COEFFICIENTS = 40, 20
_WINDOW, _HOP = 0.025, 0.01  # seconds
_SEGMENTS = 8
_QUANTILES = (0.1, 0.5, 0.9)


class Mfcc(Encoder):
    """Log-mel bands and cepstral coefficients (Davis & Mermelstein 1980), summed up over a clip's frames.

    The bands give mean, deviation and three percentiles. The coefficients give mean and deviation, and the
    deviation of their first and second differences. Their mean in each eighth of the clip keeps what comes
    first apart from what comes last. Frames of padding do not count.

    Args:
        rate: Hz of the waves.
    """

    cosines: Tensor

    def __init__(self, rate: int) -> None:
        super().__init__((2 + len(_QUANTILES)) * _MELS + (4 + _SEGMENTS) * _COEFFICIENTS)
        self.spectrogram = LogMel(rate, _MELS, _WINDOW, _HOP)
        self.register_buffer("cosines", _cosines(_MELS, _COEFFICIENTS), persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Wave float (B, S) in [-1, 1] with length int64 (B,) to (B, D)."""
        wave, length = batch["wave"], batch["length"]
        wave = wave[:, : max(1, int(length.max()))]  # what is padding in every row need not be worked on
        with torch.autocast(wave.device.type, enabled=False):
            bands, mask = self.spectrogram(wave, length)  # (B, 40, T), (B, T)
            cepstrum = self.cosines @ bands  # (B, 20, T)
            first = _differences(cepstrum, mask)
            statistics = [
                *_moments(bands, mask),
                *_quantiles(bands, mask),
                *_moments(cepstrum, mask),
                _moments(first, mask)[1],
                _moments(_differences(first, mask), mask)[1],
                _segments(cepstrum, mask),
            ]
            return torch.cat(statistics, dim=1)


def _cosines(bands: int, coefficients: int) -> Tensor:
    """Orthonormal cosine transform, type II, without its constant: (coefficients, bands)."""
    band = (torch.arange(bands) + 0.5) * math.pi / bands
    return torch.cos(torch.arange(1, coefficients + 1).unsqueeze(1) * band) * math.sqrt(2 / bands)


def _moments(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (B, F) over the frames of x (B, F, T) in mask bool (B, T)."""
    valid = mask.unsqueeze(1).to(x.dtype)
    count = valid.sum(2)
    mean = (x * valid).sum(2) / count
    return mean, (((x - mean.unsqueeze(2)) * valid).square().sum(2) / count).sqrt()


def _quantiles(x: Tensor, mask: Tensor) -> list[Tensor]:
    """Quantiles (B, F) over the frames in mask, between two frames in proportion."""
    ordered = x.masked_fill(~mask.unsqueeze(1), torch.inf).sort(dim=2).values
    result = []
    for share in _QUANTILES:
        position = (share * (mask.sum(1) - 1)).view(-1, 1, 1).expand(-1, x.shape[1], 1)
        low, high = (
            ordered.gather(2, each.long()).squeeze(2) for each in (position.floor(), position.ceil())
        )
        result.append(torch.lerp(low, high, (position - position.floor()).squeeze(2)))
    return result


def _differences(x: Tensor, mask: Tensor) -> Tensor:
    """Half the change from the frame before to the frame after (B, F, T); 0 where one of them is missing."""
    inner = (mask[:, 2:] & mask[:, :-2]).unsqueeze(1)
    change = torch.zeros_like(x)
    change[:, :, 1:-1] = (x[:, :, 2:] - x[:, :, :-2]) / 2 * inner
    return change


def _segments(x: Tensor, mask: Tensor) -> Tensor:
    """Means of x (B, F, T) in equal parts of each clip, (B, F * 8); a frame may count in two."""
    count = mask.sum(1).view(-1, 1, 1)  # (B, 1, 1)
    start = torch.arange(x.shape[2], device=x.device).view(1, -1, 1) * _SEGMENTS / count  # (B, T, 1)
    segment = torch.arange(_SEGMENTS, device=x.device)  # (8,)
    end = torch.minimum(start + _SEGMENTS / count, segment + 1)
    overlap = (end - torch.maximum(start, segment.to(start.dtype))).clamp(min=0)  # (B, T, 8), of sum 1 over T
    return (x @ (overlap * mask.unsqueeze(2))).flatten(1)
