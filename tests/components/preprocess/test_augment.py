"""Augmentation changes what it says, row by row, reproducibly, and nothing when it is off."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from components.config.inputs import AudioAugment, ImageAugment, TabularAugment, TextAugment
from components.preprocess.augment import (
    AUGMENTS,
    augment_audio,
    augment_image,
    augment_tabular,
    augment_text,
)

ROWS = 6


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures() -> dict[str, Tensor]:
    return {"pixels": torch.randint(0, 256, (ROWS, 3, 20, 24), dtype=torch.uint8, generator=seeded(1))}


def text() -> dict[str, Tensor]:
    mask = torch.arange(40) < torch.tensor([40, 20, 1, 30, 2, 5])[:, None]
    return {"ids": torch.arange(1, 41).expand(ROWS, -1) * mask, "mask": mask}


def sound() -> dict[str, Tensor]:
    length = torch.tensor([1000, 400, 1, 999, 100, 700])
    wave = torch.rand(ROWS, 1000, generator=seeded(1)) * 0.5 + 0.1
    return {"wave": wave * (torch.arange(1000) < length[:, None]), "length": length}


def table() -> dict[str, Tensor]:
    missing = (torch.rand(ROWS, 4, generator=seeded(1)) < 0.3).float()
    numbers = torch.randn(ROWS, 4, generator=seeded(2)) * (1 - missing)
    codes = torch.randint(1, 5, (ROWS, 3), generator=seeded(3)).float()
    return {"values": torch.cat([numbers, missing, codes], 1), "numeric": torch.full((ROWS,), 4)}


BATCHES = {"image": pictures, "text": text, "audio": sound, "tabular": table}
OFF = {"image": ImageAugment(), "text": TextAugment(), "audio": AudioAugment(), "tabular": TabularAugment()}
EACH: list[tuple[str, Any]] = [
    ("image", ImageAugment(crop=0.3)),
    ("image", ImageAugment(zoom=0.3)),
    ("image", ImageAugment(rotate=40)),
    ("image", ImageAugment(flip=True)),
    ("image", ImageAugment(colour=0.4)),
    ("image", ImageAugment(erase=0.6)),
    ("text", TextAugment(token_dropout=0.5)),
    ("audio", AudioAugment(shift=0.4)),
    ("audio", AudioAugment(gain=6)),
    ("audio", AudioAugment(noise=0.5)),
    ("audio", AudioAugment(speed=0.3)),
    ("audio", AudioAugment(time_mask=0.3)),
    ("audio", AudioAugment(frequency_mask=0.3)),
    ("tabular", TabularAugment(noise=0.3)),
    ("tabular", TabularAugment(drop=0.3)),
]
each_option = pytest.mark.parametrize(
    ("modality", "config"), EACH, ids=[f"{m}-{next(iter(c.model_fields_set))}" for m, c in EACH]
)


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize("modality", AUGMENTS)
def test_zeros_leave_the_batch_bit_identical_and_draw_nothing(modality: str) -> None:
    generator = seeded()
    before = generator.get_state()
    assert same(AUGMENTS[modality](BATCHES[modality](), OFF[modality], generator), BATCHES[modality]())
    assert torch.equal(generator.get_state(), before)


@each_option
def test_an_option_changes_the_batch_by_its_generator_and_not_in_place(modality: str, config: Any) -> None:
    batch = BATCHES[modality]()
    first = AUGMENTS[modality](batch, config, seeded(5))
    assert same(batch, BATCHES[modality]())
    assert not same(first, batch)
    assert same(first, AUGMENTS[modality](batch, config, seeded(5)))
    assert not same(first, AUGMENTS[modality](batch, config, seeded(6)))
    assert all(first[k].dtype == batch[k].dtype and first[k].shape == batch[k].shape for k in batch)
    assert all(torch.isfinite(v.float()).all() for v in first.values())


@each_option
def test_rows_do_not_touch_each_other(modality: str, config: Any) -> None:
    batch = BATCHES[modality]()
    other = dict(batch)
    for name, value in batch.items():
        if value.ndim:  # row 0 gets the content of row 1
            other[name] = torch.cat([value[1:2], value[1:]])
    first, second = (AUGMENTS[modality](b, config, seeded(5)) for b in (batch, other))
    assert all(torch.equal(first[k][1:], second[k][1:]) for k in first if first[k].ndim)


@each_option
def test_equal_rows_are_changed_each_in_its_own_way(modality: str, config: Any) -> None:
    batch = {
        k: v[:1].expand(8, *v.shape[1:]).clone() if v.ndim else v for k, v in BATCHES[modality]().items()
    }
    changed = AUGMENTS[modality](batch, config, seeded(5))
    assert any(len(v.unique(dim=0)) > 1 for v in changed.values() if v.ndim)


def test_a_mirrored_picture_is_exactly_the_picture_read_from_the_right() -> None:
    batch = pictures()
    mirrored = augment_image(batch, ImageAugment(flip=True), seeded())["pixels"]
    is_mirrored = [torch.equal(m, p.flip(2)) for m, p in zip(mirrored, batch["pixels"], strict=True)]
    is_same = [torch.equal(m, p) for m, p in zip(mirrored, batch["pixels"], strict=True)]
    assert all(a != b for a, b in zip(is_mirrored, is_same, strict=True))
    assert any(is_mirrored)
    assert any(is_same)


def test_a_rotation_keeps_the_shape_of_what_is_drawn_in_an_oblong_picture() -> None:
    pixels = torch.zeros(64, 3, 40, 80, dtype=torch.uint8)
    pixels[:, :, 10:30, 30:50] = 255  # a square of 400 pixels
    turned = augment_image({"pixels": pixels}, ImageAugment(rotate=90), seeded())["pixels"]
    area = (turned[:, 0] > 127).sum((1, 2))
    assert ((area - 400).abs() < 40).all()  # a skewed one would leave the image or change its area
    spread = [(t[0] > 127).nonzero().float().std(0) for t in turned]
    assert all(abs(s[0] - s[1]) < 1 for s in spread)


def test_a_shift_stays_within_its_share_of_the_side() -> None:
    pixels = torch.zeros(200, 3, 40, 40, dtype=torch.uint8)
    pixels[:, :, 19:21, 19:21] = 255
    moved = augment_image({"pixels": pixels}, ImageAugment(crop=0.25), seeded())["pixels"]
    centre = torch.stack([(m[0] > 50).nonzero().float().mean(0) for m in moved]) - 19.5
    assert centre.abs().max() <= 10.5
    assert centre.abs().max() > 8


def test_erasing_blanks_at_most_its_share_of_the_area() -> None:
    pixels = torch.randint(0, 256, (200, 3, 50, 50), dtype=torch.uint8, generator=seeded(1))
    erased = augment_image({"pixels": pixels}, ImageAugment(erase=0.4), seeded())["pixels"]
    share = (erased != pixels).any(1).float().mean((1, 2))
    assert share.max() < 0.45  # whole pixels at the edges
    assert 0.1 < share.mean() < 0.25


def test_token_dropout_keeps_order_and_the_first_token_and_about_its_share() -> None:
    batch = text()
    dropped = augment_text(batch, TextAugment(token_dropout=0.5), seeded())
    for ids, mask in zip(dropped["ids"], dropped["mask"], strict=True):
        remaining = ids[mask]
        assert remaining[0] == 1
        assert (remaining.diff() > 0).all()
        assert torch.equal(mask, mask.sort(descending=True).values)  # valid tokens first
        assert (ids[~mask] == 0).all()
    assert 12 <= dropped["mask"][0].sum() <= 30
    assert dropped["mask"][2].sum() == 1


def test_speed_changes_length_and_pitch_together() -> None:
    time = torch.arange(4000) / 4000
    batch = {"wave": torch.sin(2 * torch.pi * 200 * time).repeat(8, 1), "length": torch.full((8,), 2000)}
    batch["wave"][:, 2000:] = 0
    faster = augment_audio(batch, AudioAugment(speed=0.5), seeded())
    for wave, length in zip(faster["wave"], faster["length"].tolist(), strict=True):
        assert (wave[length:] == 0).all()
        spectrum = torch.fft.rfft(wave[:length]).abs()
        pitch = spectrum.argmax() * 4000 / length
        assert pitch == pytest.approx(200 * 2000 / length, rel=0.05)
    assert faster["length"].min() < 1900
    assert faster["length"].max() > 2100


def test_sound_stays_silent_behind_its_length() -> None:
    config = AudioAugment(shift=0.5, gain=6, noise=0.5, speed=0.3)
    changed = augment_audio(sound(), config, seeded())
    behind = torch.arange(1000) >= changed["length"][:, None]
    assert (changed["length"] >= 1).all()
    assert (changed["length"] <= 1000).all()
    assert (changed["wave"][behind] == 0).all()


def test_gain_stays_within_its_decibels() -> None:
    batch = sound()
    louder = augment_audio(batch, AudioAugment(gain=6), seeded())["wave"]
    decibels = 20 * torch.log10(louder[:, 0] / batch["wave"][:, 0])
    assert decibels.abs().max() <= 6.001
    assert decibels.std() > 0.5


@pytest.mark.parametrize("name", ["time_mask", "frequency_mask"])
def test_spectrogram_masks_are_spans_of_at_most_their_share(name: str) -> None:
    batch = {"wave": torch.zeros(500, 4), "length": torch.full((500,), 4)}
    start, end = augment_audio(batch, AudioAugment(**{name: 0.3}), seeded())[name].unbind(1)
    assert (start >= 0).all()
    assert (end <= 1).all()
    assert ((end - start) >= 0).all()
    assert (end - start).max() <= 0.3


def test_blanked_cells_look_missing_and_missing_ones_get_no_noise() -> None:
    batch = table()
    values = augment_tabular(batch, TabularAugment(noise=1.0, drop=0.4), seeded())["values"]
    numbers, missing, codes = values[:, :4], values[:, 4:8], values[:, 8:]
    assert (numbers[missing == 1] == 0).all()
    assert (missing >= batch["values"][:, 4:8]).all()
    assert set(missing.unique().tolist()) == {0.0, 1.0}
    changed = codes != batch["values"][:, 8:]
    assert changed.any()
    assert (codes[changed] == 0).all()
