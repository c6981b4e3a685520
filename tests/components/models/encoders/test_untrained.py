"""Encoders of which nothing is trained: histograms of images, statistics of audio, and a kernel over them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from components.config import ImageInput
from components.config.encoders import (
    CompositeConfig,
    HogConfig,
    MfccConfig,
    PretrainedConfig,
    UntrainedConfig,
)
from components.config.inputs import AudioInput
from components.models.encoders import Encoder, build_encoder, needs_fit
from components.models.encoders.hog import Hog
from components.models.encoders.kernel import Kernel
from components.models.encoders.mfcc import Mfcc
from components.models.encoders.several import Several
from components.models.weights import own_tensors
from components.preprocess.image import ImagePreprocessor
from components.preprocess.several import SeveralPreprocessor
from tests.components.models.encoders.test_contract import CONFIGS, ROWS, Facts, pictures, sound
from tests.components.models.encoders.test_pretrained import vit
from tests.components.small_targets import alone

CASES: dict[str, tuple[type[UntrainedConfig], str, Callable[[], dict[str, Tensor]], int]] = {
    "hog": (HogConfig, "image", pictures, 36 * (9 + 49) + 64 + 96),
    "mfcc": (MfccConfig, "audio", sound, 5 * 40 + 12 * 20),
}
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}  # sums in another order differ in the last digits
every_encoder = pytest.mark.parametrize("name", CASES)


def build(name: str, kernel: int = 0) -> tuple[Encoder, dict[str, Tensor]]:
    kind, modality, batch, _ = CASES[name]
    torch.manual_seed(0)
    return build_encoder(kind(kernel=kernel), Facts(modality)).eval(), batch()


def test_every_encoder_of_which_nothing_is_trained_is_tested_here() -> None:
    assert set(CASES) == {name for name, kind in CONFIGS.items() if issubclass(kind, UntrainedConfig)}


@every_encoder
@pytest.mark.parametrize("kernel", [0, 7])
def test_there_is_a_vector_per_row_and_nothing_to_train(name: str, kernel: int) -> None:
    encoder, batch = build(name, kernel)
    assert encoder.width == (kernel or CASES[name][3])
    assert encoder(batch).shape == (ROWS, encoder.width)
    assert not encoder.tokens
    assert list(encoder.parameters()) == []
    assert not needs_fit(CASES[name][0](kernel=kernel))


@every_encoder
def test_rows_are_the_same_alone_and_again(name: str) -> None:
    encoder, batch = build(name)
    together = encoder(batch)
    assert torch.isfinite(together).all()
    assert torch.equal(encoder(batch), together)
    alone = torch.cat([encoder({k: v[i : i + 1] for k, v in batch.items()}) for i in range(ROWS)])
    torch.testing.assert_close(together, alone, **TOLERANCE)
    assert (torch.cdist(together, together) + torch.eye(ROWS) > 1e-3).all()


class TestHog:
    def test_an_edge_falls_into_the_bin_of_its_angle(self) -> None:
        """The gradient of an upright edge has angle 0; that of a level one lies between bins 4 and 5."""
        upright = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
        upright[..., 16:] = 255
        coarse = slice(0, 36 * 9)  # orientations, cells of a block, blocks
        votes = Hog()({"pixels": upright})[0, coarse].view(9, 36)
        assert votes[0].max() > 0
        assert votes[1:].abs().max() < 1e-6
        votes = Hog()({"pixels": upright.transpose(2, 3)})[0, coarse].view(9, 36)
        assert votes[[0, 1, 2, 3, 6, 7, 8]].abs().max() < 1e-6
        torch.testing.assert_close(votes[4], votes[5])
        assert votes[4].max() > 0

    def test_a_plain_image_has_its_colour_alone(self) -> None:
        red = torch.zeros(1, 3, 20, 20, dtype=torch.uint8)
        red[:, 0] = 255
        features = Hog()({"pixels": red})[0]
        histogram, mean, deviation = features[36 * 58 :].split([64, 48, 48])
        assert (features[: 36 * 58] == 0).all()
        assert histogram.view(4, 4, 4)[3, 0, 0] == pytest.approx(1.0)
        assert histogram.sum() == pytest.approx(1.0)
        torch.testing.assert_close(mean.view(3, 16) * 48**0.5, torch.tensor([1.0, 0, 0]).expand(16, 3).T)
        assert (deviation == 0).all()

    @pytest.mark.parametrize("size", [8, 9, 33, 64, 224])
    def test_the_width_is_the_same_at_every_size(self, size: int) -> None:
        assert Hog()(pictures(size)).shape == (ROWS, Hog().width)

    def test_brightness_of_the_whole_leaves_orientations_nearly_as_they_are(self) -> None:
        pixels = torch.randint(100, 200, (2, 3, 32, 32), dtype=torch.uint8)
        dark, light = (Hog()({"pixels": each})[:, : 36 * 58] for each in (pixels // 2, pixels))
        assert torch.nn.functional.cosine_similarity(dark, light).min() > 0.98


class TestMfcc:
    def test_padding_does_not_matter(self) -> None:
        encoder, batch = build("mfcc")
        longer = {"wave": torch.cat([batch["wave"], torch.randn(ROWS, 900)], 1), "length": batch["length"]}
        torch.testing.assert_close(encoder(longer), encoder(batch), **TOLERANCE)

    def test_statistics_are_those_of_the_true_frames(self) -> None:
        encoder, batch = build("mfcc")
        assert isinstance(encoder, Mfcc)
        bands, mask = encoder.spectrogram(batch["wave"], batch["length"])
        embedding = encoder(batch)
        for row in range(ROWS):
            true = bands[row][:, mask[row]].numpy()  # (40, T)
            cepstrum = encoder.cosines.numpy() @ true
            parts = [true.mean(1), true.std(1), *np.quantile(true, [0.1, 0.5, 0.9], axis=1)]
            parts += [cepstrum.mean(1), cepstrum.std(1)]
            expected = np.concatenate(parts)
            np.testing.assert_allclose(embedding[row, : len(expected)], expected, rtol=1e-3, atol=1e-4)

    def test_eighths_keep_what_comes_first_apart(self) -> None:
        seconds = torch.arange(4000) / 4000
        rising = torch.sin(2 * torch.pi * (200 + 700 * seconds) * seconds)[None]
        encoder, length = build("mfcc")[0], torch.tensor([4000])
        forward, backward = (encoder({"wave": x, "length": length})[0] for x in (rising, rising.flip(1)))
        assert (forward[-160:] - backward[-160:]).abs().max() > 0.5
        torch.testing.assert_close(forward[:80], backward[:80], rtol=0.1, atol=0.1)  # mean and deviation

    @pytest.mark.parametrize("length", [0, 1, 30])
    def test_silence_and_clips_of_a_frame_are_finite(self, length: int) -> None:
        encoder, _ = build("mfcc")
        assert torch.isfinite(encoder({"wave": torch.zeros(1, 2000), "length": torch.tensor([length])})).all()


class TestKernel:
    def test_products_of_landmarks_are_the_gaussian_kernel(self) -> None:
        encoder, batch = build("hog", ROWS)
        assert isinstance(encoder, Kernel)
        features = encoder.base(batch)
        encoder.learn(features)
        spread = features.var(0, correction=0).sum()
        expected = torch.exp(-torch.cdist(features, features).square() / spread)
        embedding = encoder(batch)
        torch.testing.assert_close(embedding @ embedding.T, expected, rtol=1e-3, atol=1e-3)

    def test_fewer_rows_than_landmarks_leave_zeros(self) -> None:
        encoder, batch = build("hog", 9)
        assert isinstance(encoder, Kernel)
        encoder.learn(encoder.base(batch))
        embedding = encoder(batch)
        assert (embedding[:, ROWS:] == 0).all()
        assert (embedding[:, :ROWS].abs().sum(0) > 0).all()

    def test_equal_rows_are_no_division_by_zero(self) -> None:
        encoder, batch = build("hog", 4)
        assert isinstance(encoder, Kernel)
        encoder.learn(encoder.base(batch)[:1].repeat(4, 1))
        assert torch.isfinite(encoder(batch)).all()

    def test_it_comes_back_from_its_tensors(self) -> None:
        encoder, batch = build("mfcc", 4)
        assert isinstance(encoder, Kernel)
        encoder.learn(encoder.base(batch)[:4])
        fresh, _ = build("mfcc", 4)
        fresh.load_state_dict(encoder.state_dict())
        assert torch.equal(fresh(batch), encoder(batch))

    def test_it_is_over_several_views_of_a_row_too(self) -> None:
        several = SeveralPreprocessor(ImagePreprocessor(28, "pad", 8), "mean")
        encoder = build_encoder(HogConfig(kernel=3), several)
        assert isinstance(encoder, Kernel)
        assert isinstance(encoder.base, Several)

    def test_a_composite_stores_it_but_not_the_checkpoint_under_it(self, tmp_path: Path) -> None:
        parts = [PretrainedConfig(model=vit(tmp_path / "vit"), kernel=3), HogConfig(kernel=3)]
        config = CompositeConfig(encoders=parts, targets=alone(2).to_json())
        own = own_tensors(build_encoder(config, Facts("image")), config)
        buffers = {"landmarks", "whitening", "variance"}
        assert {f"parts.{part}.{name}" for part in (0, 1) for name in buffers} <= own.keys()
        assert not [name for name in own if name.startswith("parts.0.base.")]


def test_a_kernel_is_over_vectors_of_a_frozen_model() -> None:
    PretrainedConfig(model="org/name", kernel=10, pooling="layers")
    for options in ({"tune": "lora"}, {"tune": "full"}, {"pooling": "tokens"}):
        with pytest.raises(ValueError, match="kernel: it is over vectors of a frozen model"):
            PretrainedConfig.model_validate({"model": "org/name", "kernel": 10, **options})


def test_what_has_no_effect_is_refused() -> None:
    with pytest.raises(ValueError, match="augment: encoder hog sees each row once"):
        ImageInput.model_validate({"columns": "a", "encoder": {"name": "hog"}, "augment": {"flip": True}})
    with pytest.raises(ValueError, match="the encoder is not trained"):
        AudioInput.model_validate(
            {"columns": ["a", "b"], "encoder": {"name": "mfcc"}, "pooling": "attention"}
        )
