"""The contract of components/models/encoders/protocol.py, held by every encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import get_args

import pytest
import torch
from torch import Tensor

from components.config.encoders import (
    AudioCNNConfig,
    CNNConfig,
    EncoderConfig,
    FittedConfig,
    FTTransformerConfig,
    GRUConfig,
    MLPConfig,
    NgramsConfig,
    PretrainedConfig,
    ResNetConfig,
    TextTransformerConfig,
    UntrainedConfig,
)
from components.models.encoders import ENCODERS, Encoder, build_encoder, needs_fit
from components.models.fusion.masking import as_vector, token_mask

ROWS = 5
CONFIGS = {kind.model_fields["name"].default: kind for kind in get_args(EncoderConfig)}
# Float32 sums in another order (other padding, other batch) differ in the last digits.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


@dataclass
class Facts:
    """Attributes that an encoder reads from a preprocessor."""

    modality: str
    size: int = 28
    vocabulary_size: int = 60
    rate: int = 4000
    samples: int = 2000
    numeric: int = 3
    cardinalities: list[int] = field(default_factory=lambda: [4, 2])


def pictures(size: int = 28) -> dict[str, Tensor]:
    return {"pixels": torch.randint(0, 256, (ROWS, 3, size, size), dtype=torch.uint8)}


def text() -> dict[str, Tensor]:
    mask = torch.arange(9) < torch.tensor([[9], [4], [1], [7], [2]])
    return {"ids": torch.randint(1, 60, (ROWS, 9)) * mask, "mask": mask}


def sound() -> dict[str, Tensor]:
    length = torch.tensor([2000, 900, 1, 1500, 333])
    return {"wave": torch.randn(ROWS, 2000) * 0.1 * (torch.arange(2000) < length[:, None]), "length": length}


def table() -> dict[str, Tensor]:
    missing = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    codes = torch.tensor([[3.0, 1], [0, 0], [2, 1], [1, 1], [3, 0]])
    return {"values": torch.cat([torch.randn(ROWS, 3) * (1 - missing), missing, codes], 1)}


CASES: dict[str, tuple[EncoderConfig, str, Callable[[], dict[str, Tensor]]]] = {
    "cnn": (CNNConfig(width=24, channels=[8, 12]), "image", pictures),
    "resnet": (ResNetConfig(width=24, channels=[8, 12], blocks=2), "image", pictures),
    "gru": (GRUConfig(width=24, embedding=12, layers=2), "text", text),
    "ngrams": (NgramsConfig(width=24, buckets=59), "text", text),
    "text_transformer": (TextTransformerConfig(width=24, heads=4), "text", text),
    "audio_cnn": (AudioCNNConfig(width=24, channels=[8, 12], mels=21), "audio", sound),
    "mlp": (MLPConfig(width=24, hidden=[16, 16]), "tabular", table),
    "ft_transformer": (FTTransformerConfig(width=24, heads=4), "tabular", table),
}


# Those that give a sequence where they are asked to, with the tokens of each of ROWS rows.
TOKENS: dict[str, list[int]] = {
    "cnn": [7 * 7] * ROWS,
    "resnet": [8 * 8] * ROWS,  # of 14 x 14 cells
    "gru": [9, 4, 1, 7, 2],
    "text_transformer": [9, 4, 1, 7, 2],
    "audio_cnn": [8, 4, 1, 6, 2],  # a quarter of 1 + length // 64 frames
    "ft_transformer": [1 + 3 + 2] * ROWS,
}


def build(name: str, **options: bool) -> tuple[Encoder, dict[str, Tensor]]:
    config, modality, batch = CASES[name]
    torch.manual_seed(0)
    return build_encoder(config.model_copy(update=options), Facts(modality)), batch()


every_encoder = pytest.mark.parametrize("name", CASES)
every_sequence = pytest.mark.parametrize("name", TOKENS)


def test_every_encoder_of_the_dictionary_stands_under_this_contract() -> None:
    # pretrained and those without gradient have files of their own, which repeat the contract
    others = {n for n, kind in CONFIGS.items() if issubclass(kind, FittedConfig | UntrainedConfig)}
    assert set(CASES) | {"pretrained"} | others == set(ENCODERS) == set(CONFIGS)


@every_encoder
def test_the_declared_width_is_the_real_width(name: str) -> None:
    encoder, batch = build(name)
    assert encoder.width == 24
    assert encoder(batch).shape == (ROWS, 24)
    assert not encoder.tokens


@every_encoder
def test_a_gradient_reaches_every_parameter(name: str) -> None:
    encoder, batch = build(name)
    (encoder.eval()(batch) * torch.randn(ROWS, 24)).sum().backward()
    without = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@every_encoder
def test_a_fresh_instance_with_its_weights_gives_the_same_output(name: str) -> None:
    encoder, batch = build(name)
    encoder.train()(batch)  # running statistics, where there are any, move
    config, modality, _ = CASES[name]
    torch.manual_seed(1)
    fresh = build_encoder(config, Facts(modality))
    fresh.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(fresh.eval()(batch), encoder.eval()(batch), rtol=0, atol=0)


@every_encoder
def test_rows_do_not_leak_into_each_other_in_eval_mode(name: str) -> None:
    encoder, batch = build(name)
    encoder.train()(batch)
    encoder.eval()
    together = encoder(batch)
    alone = torch.cat([encoder({k: v[i : i + 1] for k, v in batch.items()}) for i in range(ROWS)])
    torch.testing.assert_close(together, alone, **TOLERANCE)


@every_encoder
def test_every_row_has_an_embedding_of_its_own(name: str) -> None:
    encoder, batch = build(name)
    embeddings = encoder.eval()(batch)
    distances = torch.cdist(embeddings, embeddings) + torch.eye(ROWS)
    assert torch.isfinite(embeddings).all()
    assert (distances > 1e-3).all()


@every_encoder
def test_a_batch_of_one_trains(name: str) -> None:
    encoder, batch = build(name)
    embedding = encoder.train()({k: v[:1] for k, v in batch.items()})
    embedding.square().sum().backward()
    gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(g).all() for g in gradients)


def test_every_encoder_with_an_option_for_tokens_is_tested_with_it() -> None:
    assert [name for name, (config, _, _) in CASES.items() if hasattr(config, "tokens")] == list(TOKENS)


@every_sequence
def test_a_sequence_has_a_vector_for_each_token_and_zeros_for_padding(name: str) -> None:
    encoder, batch = build(name, tokens=True)
    embedding = encoder.eval()(batch)
    assert encoder.tokens
    assert embedding.shape == (ROWS, max(TOKENS[name]), encoder.width)
    assert token_mask(embedding).sum(1).tolist() == TOKENS[name]


@every_sequence
def test_a_gradient_reaches_every_parameter_through_a_sequence(name: str) -> None:
    encoder, batch = build(name, tokens=True)
    embedding = encoder.train()(batch)
    (embedding * torch.randn_like(embedding)).sum().backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@every_sequence
def test_tokens_of_a_row_are_the_same_alone(name: str) -> None:
    encoder, batch = build(name, tokens=True)
    together = encoder.eval()(batch)
    for row, length in enumerate(TOKENS[name]):
        alone = encoder({k: v[row : row + 1] for k, v in batch.items()})
        torch.testing.assert_close(alone[:, :length], together[[row], :length], **TOLERANCE)


def test_the_mean_of_the_tokens_is_the_embedding_where_the_same_weights_give_both() -> None:
    encoder, batch = build("text_transformer")
    sequence, _ = build("text_transformer", tokens=True)
    sequence.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(as_vector(sequence.eval()(batch)), encoder.eval()(batch), **TOLERANCE)


@pytest.mark.parametrize("name", [n for n, (_, modality, _) in CASES.items() if modality == "text"])
def test_padding_of_text_does_not_matter(name: str) -> None:
    encoder, batch = build(name)
    longer = {
        "ids": torch.cat([batch["ids"], torch.randint(0, 60, (ROWS, 6))], 1),  # whatever stands there
        "mask": torch.cat([batch["mask"], torch.zeros(ROWS, 6, dtype=torch.bool)], 1),
    }
    encoder.eval()
    torch.testing.assert_close(encoder(longer), encoder(batch), **TOLERANCE)


@pytest.mark.parametrize("name", [n for n, (_, modality, _) in CASES.items() if modality == "audio"])
def test_padding_of_sound_does_not_matter(name: str) -> None:
    encoder, batch = build(name)
    noise = torch.randn(ROWS, 1000)  # whatever stands there
    longer = {"wave": torch.cat([batch["wave"], noise], 1), "length": batch["length"]}
    encoder.eval()
    torch.testing.assert_close(encoder(longer), encoder(batch), **TOLERANCE)


@pytest.mark.parametrize("size", [8, 9, 17, 33, 64, 100, 224, 512])
@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_picture_networks_work_at_every_size_in_both_modes(name: str, size: int) -> None:
    config = {"cnn": CNNConfig, "resnet": ResNetConfig}[name](width=16, channels=[4, 8, 8])
    encoder = build_encoder(config, Facts("image", size=size))
    one = {k: v[:1] for k, v in pictures(size).items()}
    assert encoder.train()(one).shape == (1, 16)
    assert torch.isfinite(encoder.eval()(one)).all()


def test_only_a_frozen_pretrained_encoder_needs_no_fit() -> None:
    assert all(needs_fit(config) for config, _, _ in CASES.values())
    assert needs_fit(PretrainedConfig(model="org/name", tune="lora"))
    assert needs_fit(PretrainedConfig(model="org/name", tune="full"))
    assert not needs_fit(PretrainedConfig(model="org/name", tune="frozen"))
