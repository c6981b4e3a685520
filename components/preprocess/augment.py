"""Random changes of training batches, by modality. They run on the batch's device, in a few lines of torch.

Every draw comes from the generator given (on the CPU, so that all devices see the same draws) and every row
draws for itself. A configuration of zeros gives the batch back untouched.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from components.config.inputs import AudioAugment, ImageAugment, TabularAugment, TextAugment

Batch = dict[str, Tensor]


def augment_image(batch: Batch, config: ImageAugment, generator: Generator) -> Batch:
    """Move, zoom, turn, mirror, recolour and blank images: `pixels` uint8 (B, 3, H, W) stay uint8."""
    pixels = batch["pixels"]
    if config.crop or config.zoom or config.rotate or config.flip:
        pixels = _quantise(_affine(pixels.float(), config, generator))
    if config.colour:
        pixels = _quantise(_recolour(pixels.float(), config.colour, generator))
    if config.erase:
        pixels = _erase(pixels, config.erase, generator)
    return {**batch, "pixels": pixels}


def augment_text(batch: Batch, config: TextAugment, generator: Generator) -> Batch:
    """Leave tokens out: `ids` int64 (B, T) and `mask` bool (B, T), valid tokens first.

    The first token always stays: no row becomes empty, and a pretrained model keeps its class token.
    """
    if not config.token_dropout:
        return batch
    ids, mask = batch["ids"], batch["mask"]
    keep = torch.rand(ids.shape, generator=generator).to(ids.device) >= config.token_dropout
    keep[:, 0] = True
    keep &= mask
    order = torch.argsort(~keep, dim=1, stable=True)  # those that stay move to the front, in their order
    chosen = keep.gather(1, order)
    return {**batch, "ids": ids.gather(1, order) * chosen, "mask": chosen}


def augment_audio(batch: Batch, config: AudioAugment, generator: Generator) -> Batch:
    """Change speed, start, loudness and noise of audio: `wave` float32 (B, S) with `length` int64 (B,).

    Time and frequency masks concern the spectrogram: they are handed on as `time_mask` and
    `frequency_mask`, float32 (B, 2), start and end as shares, for an encoder that makes one.
    """
    wave, length = batch["wave"], batch["length"]
    result = dict(batch)
    if config.speed:
        wave, length = _change_speed(wave, length, _uniform(wave, config.speed, generator) + 1)
    if config.shift:
        wave, length = _shift(wave, length, _uniform(wave, config.shift, generator))
    if config.gain:
        wave = wave * 10 ** (_uniform(wave, config.gain, generator) / 20).unsqueeze(1)
    if config.noise:
        valid = torch.arange(wave.shape[1], device=wave.device) < length.unsqueeze(1)  # (B, S)
        rms = (wave.square().sum(1) / length.clamp(min=1)).sqrt()
        level = _uniform(wave, config.noise, generator).abs() * rms  # (B,)
        hiss = torch.randn(wave.shape, generator=generator).to(wave)
        wave = wave + hiss * level.unsqueeze(1) * valid
    result["wave"], result["length"] = wave, length
    for name, share in (("time_mask", config.time_mask), ("frequency_mask", config.frequency_mask)):
        if share:
            width = _uniform(wave, share, generator).abs()
            start = (_uniform(wave, 0.5, generator) + 0.5) * (1 - width)
            result[name] = torch.stack([start, start + width], dim=1)
    return result


def augment_tabular(batch: Batch, config: TabularAugment, generator: Generator) -> Batch:
    """Add noise to numbers and blank cells: `values` float32 (B, 2n + c), `numeric` int64, all n, any shape.

    A blanked number is 0 with its missing flag at 1; a blanked category has code 0.
    """
    if not config.noise and not config.drop:
        return batch
    values, n = batch["values"].clone(), int(batch["numeric"].flatten()[0])
    missing = values[:, n : 2 * n]  # (B, n), a view
    if config.noise:
        noise = torch.randn(len(values), n, generator=generator).to(values)
        values[:, :n] += config.noise * noise * (1 - missing)
    if config.drop:
        columns = values.shape[1] - n
        gone = (torch.rand(len(values), columns, generator=generator) < config.drop).to(values.device)
        values[:, :n].masked_fill_(gone[:, :n], 0)
        missing.masked_fill_(gone[:, :n], 1)
        values[:, 2 * n :].masked_fill_(gone[:, n:], 0)
    return {**batch, "values": values}


AUGMENTS: dict[str, Callable[[Batch, Any, Generator], Batch]] = {
    "image": augment_image,
    "text": augment_text,
    "audio": augment_audio,
    "tabular": augment_tabular,
}


def _uniform(like: Tensor, most: float, generator: Generator) -> Tensor:
    """A draw in [-most, most] for each row of `like`: float32 (B,) on its device."""
    return ((torch.rand(len(like), generator=generator) * 2 - 1) * most).to(like.device)


def _quantise(pixels: Tensor) -> Tensor:
    return pixels.round().clamp(0, 255).to(torch.uint8)


def _affine(pixels: Tensor, config: ImageAugment, generator: Generator) -> Tensor:
    """Rotation, scale, shift and mirror in one resampling; what comes in from outside repeats the border."""
    angle = _uniform(pixels, math.radians(config.rotate), generator)
    scale = (1 + config.zoom) ** _uniform(pixels, 1.0, generator)  # as often larger as smaller
    mirror = torch.ones_like(scale)
    if config.flip:
        mirror = torch.where(_uniform(pixels, 1.0, generator) < 0, -mirror, mirror)
    # Coordinates run from -1 to 1 on both sides, whatever their lengths: a side is 2 long, and turning an
    # oblong image must not skew it.
    height, width = pixels.shape[2:]
    right, down = (_uniform(pixels, 2 * config.crop, generator) for _ in range(2))
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    theta = torch.stack(
        [
            torch.stack([mirror * cos, -sin * height / width, right], 1),
            torch.stack([mirror * sin * width / height, cos, down], 1),
        ],
        1,
    )  # (B, 2, 3)
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def _recolour(pixels: Tensor, most: float, generator: Generator) -> Tensor:
    """Brightness, contrast about the mean, saturation about the grey value (ITU-R BT.601)."""
    brightness, contrast, saturation = (
        (1 + _uniform(pixels, most, generator)).view(-1, 1, 1, 1) for _ in range(3)
    )
    x = pixels * brightness
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * contrast + mean
    weights = torch.tensor([0.299, 0.587, 0.114], device=x.device).view(1, 3, 1, 1)
    grey = (x * weights).sum(1, keepdim=True)
    return (x - grey) * saturation + grey


def _erase(pixels: Tensor, most: float, generator: Generator) -> Tensor:
    """Blank a rectangle with the image's mean colour (Zhong et al. 2017, arXiv:1708.04896)."""
    height, width = pixels.shape[2:]
    area = _uniform(pixels, most, generator).abs()
    aspect = 2 ** _uniform(pixels, 1.0, generator)  # height to width, from 1/2 to 2
    spans = []
    for side, share in ((height, (area * aspect).sqrt()), (width, (area / aspect).sqrt())):
        share = share.clamp(max=1)
        start = (_uniform(pixels, 0.5, generator) + 0.5) * (1 - share)
        centre = (torch.arange(side, device=pixels.device) + 0.5) / side
        spans.append((centre >= start.unsqueeze(1)) & (centre < (start + share).unsqueeze(1)))  # (B, side)
    blank = (spans[0].unsqueeze(2) & spans[1].unsqueeze(1)).unsqueeze(1)  # (B, 1, H, W)
    mean = _quantise(pixels.float().mean((2, 3), keepdim=True))
    return torch.where(blank, mean, pixels)


def _change_speed(wave: Tensor, length: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
    """Play faster (speed > 1) or slower by linear interpolation; what no longer fits in S is cut."""
    samples = wave.shape[1]
    longer = (length / speed).round().long().clamp(min=1, max=samples)
    moment = torch.arange(samples, device=wave.device) * speed.unsqueeze(1)  # (B, S)
    moment = torch.minimum(moment, (length.unsqueeze(1) - 1).clamp(min=0).float())
    left = moment.long()
    right = torch.minimum(left + 1, (length.unsqueeze(1) - 1).clamp(min=0))
    share = moment - left
    changed = wave.gather(1, left) * (1 - share) + wave.gather(1, right) * share
    return _cut(changed, longer), longer


def _shift(wave: Tensor, length: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Move by a share of the clip: later with silence put before it, or earlier with its start cut off."""
    samples = wave.shape[1]
    by = (share * length).round().long()  # (B,), positive is later
    source = torch.arange(samples, device=wave.device) - by.unsqueeze(1)
    moved = wave.gather(1, source.clamp(0, samples - 1)) * ((source >= 0) & (source < samples))
    shifted = (length + by).clamp(min=1, max=samples)
    return _cut(moved, shifted), shifted


def _cut(wave: Tensor, length: Tensor) -> Tensor:
    """Zeros from each row's length on."""
    return wave * (torch.arange(wave.shape[1], device=wave.device) < length.unsqueeze(1))
