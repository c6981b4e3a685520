"""The spectrogram inside audio_cnn: bands, frames, normalisation and SpecAugment's masks."""

from __future__ import annotations

import pytest
import torch

from components.models.encoders.audio_cnn import AudioCNN, LogMel, MaskedBatchNorm, blank, mel_filters


@pytest.mark.parametrize(("rate", "window", "mels"), [(8000, 256, 40), (16000, 512, 64), (4000, 64, 64)])
def test_no_band_is_empty_and_each_sums_to_one(rate: int, window: int, mels: int) -> None:
    filters = mel_filters(rate, window, mels)
    assert filters.shape == (window // 2 + 1, mels)
    assert (filters >= 0).all()
    torch.testing.assert_close(filters.sum(0), torch.ones(mels))


@pytest.mark.parametrize("hertz", [300, 1000, 3000])
def test_a_tone_is_loudest_in_the_band_that_holds_it(hertz: int) -> None:
    wave = torch.sin(2 * torch.pi * hertz * torch.arange(8000) / 8000)[None]
    spectrogram, _ = LogMel(8000, 40, 0.032, 0.016)(wave, torch.tensor([8000]))
    band = int(spectrogram[0].mean(1).argmax())
    filters = mel_filters(8000, 256, 40)
    centre = float(filters[:, band] @ torch.linspace(0, 4000, 129))
    assert centre == pytest.approx(hertz, rel=0.12)


def test_a_clip_has_mean_zero_and_deviation_one_over_its_own_frames() -> None:
    length = torch.tensor([8000, 2000])
    x, mask = LogMel(8000, 40, 0.025, 0.016)(torch.randn(2, 8000) * 0.1, length)
    assert mask.sum(1).tolist() == [8000 // 128 + 1, 2000 // 128 + 1]
    for clip, valid in zip(x, mask, strict=True):
        assert clip[:, valid].mean() == pytest.approx(0, abs=1e-4)
        assert clip[:, valid].std() == pytest.approx(1, abs=0.01)
        assert (clip[:, ~valid] == 0).all()


def test_loudness_does_not_matter() -> None:
    torch.manual_seed(0)
    encoder = AudioCNN(16, [8, 8], rate=8000, mels=40, window=0.025, hop=0.016, dropout=0.0).eval()
    wave, length = torch.randn(1, 8000) * 0.2, torch.tensor([8000])
    loud = encoder({"wave": wave, "length": length})
    torch.testing.assert_close(encoder({"wave": wave * 0.5, "length": length}), loud, rtol=0.05, atol=0.02)


def test_silence_is_finite() -> None:
    encoder = AudioCNN(16, [8, 8], rate=8000, mels=40, window=0.025, hop=0.016, dropout=0.0)
    for length in (0, 1, 8000):
        embedding = encoder({"wave": torch.zeros(1, 8000), "length": torch.tensor([length])})
        assert torch.isfinite(embedding).all()


def test_masks_blank_their_shares_of_the_clip_and_not_of_the_padding() -> None:
    x = torch.ones(2, 10, 40)
    mask = torch.arange(40) < torch.tensor([[40], [20]])
    spans = torch.tensor([[0.25, 0.5], [0.25, 0.5]])
    in_time = blank(x, mask, {"time_mask": spans})
    assert [int((row[0] == 0).sum()) for row in in_time] == [10, 5]
    assert (in_time[1, :, 5:10] == 0).all()
    in_frequency = blank(x, mask, {"frequency_mask": spans})
    assert (in_frequency[:, 2:5] == 0).sum() == 2 * 3 * 40
    assert blank(x, mask, {}) is x


def test_masks_change_the_embedding() -> None:
    torch.manual_seed(0)
    encoder = AudioCNN(16, [8, 8], rate=8000, mels=40, window=0.025, hop=0.016, dropout=0.0).eval()
    batch = {"wave": torch.randn(1, 8000) * 0.2, "length": torch.tensor([8000])}
    for name in ("time_mask", "frequency_mask"):
        masked = encoder({**batch, name: torch.tensor([[0.1, 0.5]])})
        assert not torch.allclose(masked, encoder(batch))


def test_statistics_of_training_are_those_of_real_frames() -> None:
    torch.manual_seed(0)
    norm, plain = MaskedBatchNorm(6), torch.nn.BatchNorm2d(6)
    x = torch.randn(3, 6, 5, 9) * 2 + 1
    lengths = [9, 4, 1]
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    real = torch.cat([row[..., :length] for row, length in zip(x, lengths, strict=True)], dim=-1)[None]
    expected = plain(real)
    y = norm(x, mask)
    got = torch.cat([row[..., :length] for row, length in zip(y, lengths, strict=True)], dim=-1)[None]
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.running_var, plain.running_var)
    assert (y.permute(0, 3, 1, 2)[~mask] == 0).all()


def test_a_short_clip_has_the_same_embedding_in_training_whatever_padding_is_beside_it() -> None:
    """One clip twice, and once more cut off behind its end: the statistics are of the same frames."""
    torch.manual_seed(0)
    encoder = AudioCNN(16, [8, 8], rate=8000, mels=40, window=0.025, hop=0.016, dropout=0.0).train()
    wave, length = torch.randn(2, 4000) * 0.2, torch.tensor([4000, 1500])
    wave[1, 1500:] = 0
    together = encoder({"wave": wave, "length": length})
    spectrogram, mask = encoder.spectrogram(wave, length)
    padded = torch.cat([spectrogram, torch.zeros(2, 40, 64)], 2)
    more = torch.cat([mask, torch.zeros(2, 64, dtype=torch.bool)], 1)
    encoder.spectrogram.forward = lambda wave, length: (padded, more)
    torch.testing.assert_close(encoder({"wave": wave, "length": length}), together, rtol=1e-4, atol=1e-5)
