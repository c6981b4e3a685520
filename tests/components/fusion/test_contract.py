"""The contract of components/fusion/protocol.py, held by every fusion."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf
from torch import Tensor

from components.config.fusion import ConcatConfig, FusionConfig, GatedConfig, LateConfig, TransformerConfig
from components.fusion import FUSIONS, Fusion, build_fusion

WIDTHS = {"voice": 5, "image": 4, "text": 6}  # not in sorted order
NAMES = ("image", "text", "voice")
TOKENS = {"image": 1, "text": 4, "voice": 3}
SUBSETS = [subset for subset in product([False, True], repeat=3) if any(subset)]
OUTPUTS = 3
# Float32 sums of the same numbers in a batch of another size differ in the last digits.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}

CONFIGS: dict[str, FusionConfig] = {
    "concat": ConcatConfig(width=8),
    "late": LateConfig(),
    "gated": GatedConfig(width=8),
    "transformer": TransformerConfig(width=8, layers=2, heads=2),
}
every_fusion = pytest.mark.parametrize("name", CONFIGS)
vectors_and_tokens = pytest.mark.parametrize("tokens", [False, True], ids=["vectors", "tokens"])


def build(name: str, widths: dict[str, int] = WIDTHS, seed: int = 0) -> Fusion:
    torch.manual_seed(seed)
    return build_fusion(CONFIGS[name], widths, OUTPUTS)


def embed(rows: int, tokens: bool, seed: int = 0) -> dict[str, Tensor]:
    """Embeddings with padding (zero vectors) behind the tokens of every second row."""
    generator = torch.Generator().manual_seed(seed)
    result = {}
    for name, width in WIDTHS.items():
        if tokens:
            value = torch.randn(rows, TOKENS[name], width, generator=generator)
            value[::2, 2:] = 0
        else:
            value = torch.randn(rows, width, generator=generator)
        result[name] = value
    return result


def mixed(rows: int = 7) -> Tensor:
    """A row for every non-empty subset of the three inputs. (rows, 3) bool."""
    return torch.tensor([SUBSETS[row % 7] for row in range(rows)])


def test_every_fusion_of_the_dictionary_stands_under_this_contract() -> None:
    assert set(CONFIGS) == set(FUSIONS)


@every_fusion
@vectors_and_tokens
def test_the_declared_width_is_the_real_width(name: str, tokens: bool) -> None:
    fusion = build(name)
    assert fusion(embed(7, tokens), mixed()).shape == (7, fusion.width)
    assert fusion.width == (OUTPUTS if name == "late" else 8)


def test_a_concatenation_without_layers_is_as_wide_as_all_its_inputs() -> None:
    fusion = build_fusion(ConcatConfig(layers=0, width=99), WIDTHS, OUTPUTS)
    assert fusion.width == 15
    assert fusion(embed(7, False), mixed()).shape == (7, 15)


@every_fusion
def test_inputs_are_sorted(name: str) -> None:
    assert build(name).inputs == NAMES


@every_fusion
@vectors_and_tokens
def test_a_fresh_instance_with_its_weights_gives_the_same_output(name: str, tokens: bool) -> None:
    fusion, fresh = build(name, seed=0).eval(), build(name, seed=1).eval()
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)  # also those that begin at 0 or 1
    fresh.load_state_dict(fusion.state_dict())
    inputs = embed(7, tokens), mixed()
    torch.testing.assert_close(fresh(*inputs), fusion(*inputs), rtol=0, atol=0)


@every_fusion
@vectors_and_tokens
def test_a_gradient_reaches_every_parameter_and_every_present_input(name: str, tokens: bool) -> None:
    fusion, present = build(name).eval(), mixed()
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # a zero weight would stop the gradient of others
    embeddings = {key: value.requires_grad_() for key, value in embed(7, tokens).items()}
    (fusion(embeddings, present) * torch.randn(7, fusion.width)).sum().backward()
    without = [key for key, p in fusion.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
    for column, key in enumerate(NAMES):
        reached = embeddings[key].grad.flatten(1).abs().sum(1) > 0  # (B,)
        assert reached.tolist() == present[:, column].tolist()


@every_fusion
@vectors_and_tokens
def test_rows_do_not_leak_into_each_other(name: str, tokens: bool) -> None:
    fusion, embeddings, present = build(name).eval(), embed(7, tokens), mixed()
    whole = fusion(embeddings, present)
    for row in range(7):
        alone = fusion({key: value[[row]] for key, value in embeddings.items()}, present[[row]])
        torch.testing.assert_close(alone, whole[[row]], **CLOSE)
    changed = {key: torch.cat([value[:1], value[1:] * -3]) for key, value in embeddings.items()}
    torch.testing.assert_close(fusion(changed, present)[0], whole[0], **CLOSE)


@every_fusion
def test_padding_behind_the_tokens_changes_nothing(name: str) -> None:
    fusion, embeddings, present = build(name).eval(), embed(7, True), mixed()
    padded = {key: torch.cat([value, torch.zeros_like(value)], 1) for key, value in embeddings.items()}
    torch.testing.assert_close(fusion(padded, present), fusion(embeddings, present), **CLOSE)


@every_fusion
@vectors_and_tokens
def test_a_batch_of_one_works_in_train_mode(name: str, tokens: bool) -> None:
    fusion = build(name).train()
    for subset in SUBSETS:
        assert torch.isfinite(fusion(embed(1, tokens), torch.tensor([subset]))).all()


@every_fusion
def test_bfloat16_embeddings_are_taken_in_mixed_precision(name: str) -> None:
    fusion, present = build(name).eval(), mixed()
    half = {key: value.bfloat16() for key, value in embed(7, False).items()}
    with torch.autocast("cpu", torch.bfloat16):
        found = fusion(half, present)
    # bfloat16 keeps 8 bits of the mantissa: steps of 0.4 %, over a few layers
    torch.testing.assert_close(found.float(), fusion(embed(7, False), present), rtol=0.1, atol=0.1)


@every_fusion
@vectors_and_tokens
@given(present=st.sampled_from(SUBSETS), seed=st.integers(0, 999), scale=st.sampled_from([1e-6, 1.0, 1e4]))
@settings(max_examples=15, deadline=None)
def test_output_and_gradients_are_finite_for_every_subset(
    name: str, tokens: bool, present: tuple[bool, ...], seed: int, scale: float
) -> None:
    fusion = build(name).train()
    embeddings = {key: (value * scale).requires_grad_() for key, value in embed(2, tokens, seed).items()}
    fused = fusion(embeddings, torch.tensor([present, present]))
    assert torch.isfinite(fused).all()
    fused.square().mean().backward()
    for value in [*fusion.parameters(), *embeddings.values()]:
        assert value.grad is None or torch.isfinite(value.grad).all()


ABSENT = st.sampled_from([float("nan"), float("inf"), float("-inf"), 0.0, 1e30, -7.5])


@every_fusion
@vectors_and_tokens
@given(present=st.sampled_from(SUBSETS), holds=ABSENT, seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_what_an_absent_input_holds_changes_neither_output_nor_gradients(
    name: str, tokens: bool, present: tuple[bool, ...], holds: float, seed: int
) -> None:
    fusion, there = build(name).eval(), torch.tensor([present])

    def outcome(fill: float) -> list[Tensor]:
        embeddings = embed(1, tokens, seed)
        for column, key in enumerate(NAMES):
            if not present[column]:
                embeddings[key] = torch.full_like(embeddings[key], fill)
            embeddings[key].requires_grad_()
        fusion.zero_grad()
        fused = fusion(embeddings, there)
        fused.sum().backward()
        return [fused, *(value.grad for value in embeddings.values()), *(p.grad for p in fusion.parameters())]

    for given_zeros, given_rubbish in zip(outcome(0.0), outcome(holds), strict=True):
        if given_zeros is not None:
            torch.testing.assert_close(given_rubbish, given_zeros, rtol=0, atol=0)


@every_fusion
@given(order=st.permutations(list(WIDTHS)), present=st.sampled_from(SUBSETS))
@settings(max_examples=10, deadline=None)
def test_the_order_of_inputs_in_the_configuration_does_not_matter(
    name: str, order: list[str], present: tuple[bool, ...]
) -> None:
    embeddings, there = embed(2, False), torch.tensor([present, present])
    one = build(name).eval()
    other = build(name, {key: WIDTHS[key] for key in order}).eval()
    reordered = {key: embeddings[key] for key in order}
    torch.testing.assert_close(other(reordered, there), one(embeddings, there), rtol=0, atol=0)


class TestAgainstNumpy:
    """The same numbers by an independent few lines. Float32 against float64: 1e-5 is some roundings."""

    PRESENT = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 0]], bool)

    def weights(self, name: str, **options: float) -> tuple[Fusion, dict[str, np.ndarray]]:
        torch.manual_seed(3)
        config = type(CONFIGS[name])(**options)  # type: ignore[arg-type]
        fusion = build_fusion(config, WIDTHS, OUTPUTS).eval()
        for parameter in fusion.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
        return fusion, {key: value.numpy().astype(float) for key, value in fusion.state_dict().items()}

    def check(self, fusion: Fusion, embeddings: dict[str, Tensor], expected: np.ndarray) -> None:
        found = fusion(embeddings, torch.from_numpy(self.PRESENT)).detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)

    @staticmethod
    def norm(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]

    @staticmethod
    def gelu(x: np.ndarray) -> np.ndarray:
        return x * 0.5 * (1 + erf(x / np.sqrt(2)))

    @staticmethod
    def softmax(x: np.ndarray, axis: int) -> np.ndarray:
        e = np.exp(x - x.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)

    @staticmethod
    def mean_of_tokens(x: np.ndarray) -> np.ndarray:
        return np.stack([row[row.any(1)].mean(0) for row in x])

    def test_concat(self) -> None:
        fusion, w = self.weights("concat", width=8, layers=1, dropout=0.0)
        embeddings = embed(3, True)
        parts = []
        for column, name in enumerate(NAMES):
            normed = self.norm(self.mean_of_tokens(embeddings[name].numpy()), w, f"norms.{name}")
            parts.append(np.where(self.PRESENT[:, [column]], normed, w[f"missing.{name}"]))
        hidden = np.concatenate(parts, 1) @ w["layers.1.weight"].T + w["layers.1.bias"]
        self.check(fusion, embeddings, self.gelu(hidden))

    def test_gated(self) -> None:
        fusion, w = self.weights("gated", width=8, dropout=0.0)
        embeddings = embed(3, False)
        x = [
            self.norm(embeddings[name].numpy(), w, f"norms.{name}") * self.PRESENT[:, [column]]
            for column, name in enumerate(NAMES)
        ]
        values = [
            np.tanh(part @ w[f"values.{name}.weight"].T + w[f"values.{name}.bias"])
            for name, part in zip(NAMES, x, strict=True)
        ]
        gates = (np.concatenate(x, 1) @ w["gates.weight"].T + w["gates.bias"]).reshape(3, 3, 8)
        gates[~self.PRESENT] = -np.inf
        self.check(fusion, embeddings, (self.softmax(gates, 1) * np.stack(values, 1)).sum(1))

    def test_late(self) -> None:
        fusion, w = self.weights("late")
        embeddings = embed(3, False)
        pooled = np.zeros((3, OUTPUTS))
        for column, name in enumerate(NAMES):
            logits = embeddings[name].numpy() @ w[f"heads.{name}.weight"].T + w[f"heads.{name}.bias"]
            share = np.exp(w["log_weight"][column] - w["log_temperature"][column])
            pooled += self.PRESENT[:, [column]] * share * logits
        surplus = (self.PRESENT.sum(1, keepdims=True) - 1) / 2
        self.check(fusion, embeddings, pooled + surplus * w["bias"])

    def test_transformer(self) -> None:
        fusion, w = self.weights("transformer", width=8, layers=1, heads=2, dropout=0.0)
        embeddings = embed(3, True)
        expected = []
        for row in range(3):
            tokens = [w["class_token"]]
            for column, name in enumerate(NAMES):
                if not self.PRESENT[row, column]:
                    tokens.append(w[f"missing.{name}"])
                    continue
                value = embeddings[name][row].numpy().astype(float)
                value = self.norm(value[value.any(1)], w, f"norms.{name}")
                value = value @ w[f"projections.{name}.weight"].T + w[f"projections.{name}.bias"]
                tokens += list(value + w[f"modality.{name}"])
            x = np.stack(tokens)
            h = self.norm(x, w, "blocks.layers.0.norm1")
            qkv = h @ w["blocks.layers.0.self_attn.in_proj_weight"].T
            q, k, v = np.split(qkv + w["blocks.layers.0.self_attn.in_proj_bias"], 3, axis=1)
            heads = [
                self.softmax(q[:, part] @ k[:, part].T / 2, 1) @ v[:, part]  # 2 is the root of a head's 4
                for part in (slice(0, 4), slice(4, 8))
            ]
            out = "blocks.layers.0.self_attn.out_proj"
            x = x + np.concatenate(heads, 1) @ w[f"{out}.weight"].T + w[f"{out}.bias"]
            h = self.norm(x, w, "blocks.layers.0.norm2")
            h = self.gelu(h @ w["blocks.layers.0.linear1.weight"].T + w["blocks.layers.0.linear1.bias"])
            x = x + h @ w["blocks.layers.0.linear2.weight"].T + w["blocks.layers.0.linear2.bias"]
            expected.append(self.norm(x[0], w, "norm"))
        self.check(fusion, embeddings, np.stack(expected))
