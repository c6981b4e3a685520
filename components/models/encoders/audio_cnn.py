"""Convolutional network on the log-mel spectrogram, from scratch. The spectrogram is made on the device."""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.models.encoders.protocol import Encoder, without_padding

_FLOOR = 1e-6  # power below this, about -60 dB of full scale in a band, counts as silence
_LOWEST = 20.0  # Hz


def mel_filters(rate: int, window: int, mels: int) -> Tensor:
    """Triangular filters evenly spaced on the mel scale, float32 (window // 2 + 1, mels).

    mel(f) = 2595 log10(1 + f / 700) (O'Shaughnessy 1987). Each filter sums to 1 over the bins; one that
    is narrower than a bin takes the bin nearest to its centre, so that no band is empty.

    Args:
        rate: Hz.
        window: samples of the Fourier transform.
        mels: bands between 20 Hz and rate / 2.
    """

    def mel(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    points = torch.linspace(mel(_LOWEST), mel(rate / 2), mels + 2, dtype=torch.float64)
    edges = 700 * (10 ** (points / 2595) - 1)  # Hz
    bins = torch.linspace(0, rate / 2, window // 2 + 1, dtype=torch.float64).unsqueeze(1)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    filters = torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp(min=0)
    empty = filters.sum(0) == 0
    nearest = (bins - centre).abs().argmin(0)
    filters[nearest[empty], empty.nonzero().squeeze(1)] = 1
    return (filters / filters.sum(0)).float()


class LogMel(nn.Module):
    """Waves to log-mel spectrograms, each clip brought to mean 0 and deviation 1.

    Args:
        rate: Hz.
        mels: bands.
        window: length of the analysis window in seconds.
        hop: step between windows in seconds.
    """

    taper: Tensor
    filters: Tensor

    def __init__(self, rate: int, mels: int, window: float, hop: float) -> None:
        super().__init__()
        self.window = max(16, round(window * rate))
        self.hop = max(1, round(hop * rate))
        self.transform = 2 ** math.ceil(math.log2(self.window))
        self.register_buffer("taper", torch.hann_window(self.window), persistent=False)
        self.register_buffer("filters", mel_filters(rate, self.transform, mels), persistent=False)

    def forward(self, wave: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Wave float (B, S) with length int64 (B,) to float (B, mels, frames) and mask bool (B, frames)."""
        wave = wave.float() * (torch.arange(wave.shape[1], device=wave.device) < length.unsqueeze(1))
        spectrum = torch.stft(
            wave,
            self.transform,
            hop_length=self.hop,
            win_length=self.window,
            window=self.taper,
            pad_mode="constant",
            return_complex=True,
        )  # (B, bins, frames)
        power = spectrum.abs().square() / self.taper.square().sum()
        x = torch.log(torch.einsum("bft,fm->bmt", power, self.filters) + _FLOOR)  # (B, mels, frames)
        frames = torch.arange(x.shape[2], device=x.device)
        mask = frames < (length // self.hop + 1).unsqueeze(1)  # (B, frames)
        valid = mask.unsqueeze(1).float()
        count = valid.sum((1, 2), keepdim=True) * x.shape[1]
        x = (x - (x * valid).sum((1, 2), keepdim=True) / count) * valid
        # The floor keeps rounding errors of a spectrum that is flat throughout (silence) from being blown up.
        x = x / (x.square().sum((1, 2), keepdim=True) / count).sqrt().clamp(min=0.1)
        return x, mask


def blank(x: Tensor, mask: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """SpecAugment (Park et al. 2019, arXiv:1904.08779): zero the time and frequency spans named in the batch.

    Args:
        x: spectrograms (B, mels, frames) with mean 0.
        mask: bool (B, frames), True where there is audio.
        batch: may hold `time_mask` and `frequency_mask`, each float (B, 2): start and end as shares.
    """
    if "time_mask" in batch:
        share = (torch.arange(x.shape[2], device=x.device) + 0.5) / mask.sum(1, keepdim=True)  # (B, frames)
        start, end = batch["time_mask"].unsqueeze(2).unbind(1)
        x = x.masked_fill(((share >= start) & (share < end)).unsqueeze(1), 0)
    if "frequency_mask" in batch:
        share = (torch.arange(x.shape[1], device=x.device) + 0.5).expand(len(x), -1) / x.shape[1]
        start, end = batch["frequency_mask"].unsqueeze(2).unbind(1)
        x = x.masked_fill(((share >= start) & (share < end)).unsqueeze(2), 0)
    return x


class MaskedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167) over real frames alone."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise (B, C, mels, frames); mask bool (B, frames) is True on real frames."""
        if not self.training or bool(mask.all()):
            return super().forward(x)
        frames = x.permute(0, 3, 2, 1)  # (B, frames, mels, C)
        real = super().forward(frames[mask].transpose(1, 2).unsqueeze(3))  # (N, C, mels, 1)
        y = torch.zeros_like(frames, dtype=real.dtype).index_put((mask,), real.squeeze(3).transpose(1, 2))
        return y.permute(0, 3, 2, 1)


class Block(nn.Sequential):
    """Convolution, normalisation and ReLU that keep padded frames at zero."""

    def __init__(self, before: int, after: int, kernel: int, stride: int) -> None:
        convolution = nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)
        super().__init__(convolution, MaskedBatchNorm(after))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """(B, before, mels, frames) to (B, after, mels / stride, frames / stride), of which mask is given."""
        convolution, norm = self
        y = F.relu(norm(convolution(x), mask))
        return y * mask[:, None, None].to(y.dtype)


class AudioCNN(Encoder):
    """Log-mel, blocks of convolution and pooling, mean and maximum over the frames that hold audio.

    The first block halves the spectrogram by a stride, the others by pooling. Frames past a clip's end are
    zeroed in every block and no statistic counts them, so padding cannot seep in.
    As tokens each frame of the last map is projected.

    Args:
        width: length D of the embedding.
        channels: channels of each block.
        rate: Hz of the waves.
        mels: bands of the spectrogram.
        window: length of the analysis window in seconds.
        hop: step between windows in seconds.
        dropout: share of values zeroed before the projection.
        tokens: give a sequence of tokens (B, T, D), zeros where there is padding.
    """

    def __init__(
        self,
        width: int,
        channels: list[int],
        rate: int,
        mels: int,
        window: float,
        hop: float,
        dropout: float,
        tokens: bool = False,
    ) -> None:
        super().__init__(width, tokens)
        self.spectrogram = LogMel(rate, mels, window, hop)
        self.blocks = nn.ModuleList([Block(1, channels[0], kernel=5, stride=2)])
        for before, after in itertools.pairwise(channels):
            self.blocks.append(Block(before, after, kernel=3, stride=1))
        bands = mels
        for _ in channels:
            bands = (bands + 1) // 2
        self.drop = nn.Dropout(dropout)
        self.project = nn.Linear((1 if tokens else 2) * channels[-1] * bands, width)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Wave float (B, S) in [-1, 1] with length int64 (B,) to (B, D) or (B, T, D)."""
        wave, length = batch["wave"], batch["length"]
        wave = wave[:, : max(1, int(length.max()))]  # what is padding in every row need not be worked on
        with torch.autocast(wave.device.type, enabled=False):  # a power spectrum overflows 16 bits
            x, mask = self.spectrogram(wave, length)
        x = blank(x, mask, batch).unsqueeze(1)  # (B, 1, mels, frames)
        for i, block in enumerate(self.blocks):
            if i == 0:
                mask = mask[:, ::2]  # of a pair of frames the first is valid where any is
            x = block(x, mask)
            if i > 0:
                x = F.max_pool2d(x, 2, ceil_mode=True)
                mask = mask[:, ::2]
        x = x.flatten(1, 2)  # (B, C * bands, frames); zero where there is no audio, elsewhere at least 0
        if self.tokens:
            return without_padding(self.project(self.drop(x.transpose(1, 2))), mask)
        mean = x.sum(2) / mask.sum(1, keepdim=True)
        embedding: Tensor = self.project(self.drop(torch.cat([mean, x.amax(2)], dim=1)))  # (B, D)
        return embedding
