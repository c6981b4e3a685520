"""The same numbers by an independent few lines of numpy, for every fusion.

Float32 against float64 over a few layers: 1e-4 is some roundings, and far below what a wrong term makes.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import lightgbm
import numpy as np
import pytest
import torch
from scipy.special import erf

from components.models.fusion import FUSIONS, build_fusion
from components.models.fusion.trees import TreeFusion
from tests.components.models.fusion.small import TARGETS, WIDTHS, config, embed, tree_rows

Array = np.ndarray
Weights = dict[str, Array]
Inputs = dict[str, Array | None]
NAMES = ("image", "text", "voice")
PRESENT = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 0], [1, 1, 0]], bool)


def dense(x: Array, w: Weights, name: str) -> Array:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)


def norm(x: Array, w: Weights, name: str) -> Array:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def gelu(x: Array) -> Array:
    return x * 0.5 * (1 + erf(x / np.sqrt(2)))


def softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def normed(inputs: Inputs, w: Weights) -> Inputs:
    """Mean of the tokens of each input there, normalised."""
    return {name: None if x is None else norm(x.mean(0), w, f"norms.{name}") for name, x in inputs.items()}


def projected(inputs: Inputs, w: Weights) -> dict[str, Array]:
    """(T, W) tokens of the inputs that are there."""
    return {
        name: dense(norm(x, w, f"norms.{name}"), w, f"projections.{name}")
        for name, x in inputs.items()
        if x is not None
    }


def attend(q: Array, k: Array, v: Array) -> Array:
    """Two heads of four."""
    parts = (slice(0, 4), slice(4, 8))
    return np.concatenate([softmax(q[:, p] @ k[:, p].T / 2, 1) @ v[:, p] for p in parts], 1)


def block(x: Array, w: Weights, name: str, context: Array | None = None) -> Array:
    h = norm(x, w, f"{name}.norm")
    seen = h if context is None else norm(context, w, f"{name}.context_norm")
    q, k, v = (
        dense(y, w, f"{name}.attention.{part}") for y, part in ((h, "query"), (seen, "key"), (seen, "value"))
    )
    x = x + dense(attend(q, k, v), w, f"{name}.attention.out")
    h = gelu(dense(norm(x, w, f"{name}.feed_forward.0"), w, f"{name}.feed_forward.1"))
    return x + dense(h, w, f"{name}.feed_forward.4")


def concat(inputs: Inputs, w: Weights) -> Array:
    x = normed(inputs, w)
    parts = [w[f"missing.{name}"] if x[name] is None else x[name] for name in NAMES]
    return gelu(dense(np.concatenate(parts), w, "layers.1"))


def late(inputs: Inputs, w: Weights) -> Array:
    present = [(column, name) for column, name in enumerate(NAMES) if inputs[name] is not None]
    number = sum(2**column for column, _ in present)
    pooled = sum(
        np.exp(w["log_weight"][number, 0, column] - w["log_temperature"][0, column])
        * dense(inputs[name].mean(0), w, f"heads.{name}")
        for column, name in present
    )
    return pooled + (len(present) - 1) / 2 * w["bias"][number]


def gated(inputs: Inputs, w: Weights) -> Array:
    x = normed(inputs, w)
    beside = np.concatenate([np.zeros(WIDTHS[name]) if x[name] is None else x[name] for name in NAMES])
    present = [column for column, name in enumerate(NAMES) if x[name] is not None]
    gates = 1 / (1 + np.exp(-dense(beside, w, "gates").reshape(3, 8)[present]))
    return sum(
        gate * np.tanh(dense(x[NAMES[column]], w, f"values.{NAMES[column]}"))
        for gate, column in zip(gates, present, strict=True)
    )


def transformer(inputs: Inputs, w: Weights) -> Array:
    tokens = projected(inputs, w)
    parts = [
        tokens[name] + w[f"modality.{name}"] if name in tokens else w[f"missing.{name}"][None]
        for name in NAMES
    ]
    x = np.concatenate([w["class_token"][None], *parts])
    for layer in (f"blocks.layers.{number}" for number in range(2)):
        h = norm(x, w, f"{layer}.norm1")
        qkv = h @ w[f"{layer}.self_attn.in_proj_weight"].T + w[f"{layer}.self_attn.in_proj_bias"]
        x = x + dense(attend(*np.split(qkv, 3, axis=1)), w, f"{layer}.self_attn.out_proj")
        h = gelu(dense(norm(x, w, f"{layer}.norm2"), w, f"{layer}.linear1"))
        x = x + dense(h, w, f"{layer}.linear2")
    return norm(x[0], w, "norm")


def total(inputs: Inputs, w: Weights) -> Array:
    x = normed(inputs, w)
    return gelu(sum(dense(x[name], w, f"projections.{name}") for name in NAMES if x[name] is not None))


def mean(inputs: Inputs, w: Weights) -> Array:
    x = normed(inputs, w)
    return gelu(np.mean([dense(x[n], w, f"projections.{n}") for n in NAMES if x[n] is not None], axis=0))


def tensor(inputs: Inputs, w: Weights) -> Array:
    x = normed(inputs, w)
    z = [np.zeros(3) if x[name] is None else gelu(dense(x[name], w, f"factors.{name}")) for name in NAMES]
    image, text, voice = (np.concatenate([[1], part]) for part in z)
    return gelu(dense(np.einsum("i,j,k->ijk", image, text, voice).ravel(), w, "layers.1"))


def low_rank(inputs: Inputs, w: Weights) -> Array:
    """By way of the whole weight tensor, which the fusion never makes."""
    x = normed(inputs, w)
    ends, factors = [], []
    for name in NAMES:
        ends.append(np.append(np.zeros(WIDTHS[name]) if x[name] is None else x[name], 1))
        factor = np.concatenate([w[f"factors.{name}.weight"], w[f"factors.{name}.bias"][:, None]], 1)
        factors.append(factor.reshape(2, 8, -1))  # (rank, W, D + 1)
    whole = np.einsum("rwi,rwj,rwk->wijk", *factors) / 2
    return np.einsum("wijk,i,j,k->w", whole, *ends) + w["bias"]


def multiplicative(inputs: Inputs, w: Weights) -> Array:
    x = normed(inputs, w)
    present = [name for name in NAMES if x[name] is not None]
    result = w["bias"] + sum(w[f"linear.{name}.weight"] @ x[name] for name in present)
    for number, pair in enumerate(combinations(NAMES, 2)):
        if set(pair) <= set(present):
            p, q = (w[f"factors.{name}.weight"] @ x[name] for name in pair)
            result = result + np.einsum("wij,i,j->w", w[f"forms.{number}.weight"].reshape(8, 3, 3), p, q)
    return result


def film(inputs: Inputs, w: Weights) -> Array:
    x = normed(inputs, w)
    present = [name for name in NAMES if x[name] is not None]
    modulated = []
    for name in present:
        others = [dense(x[other], w, f"conditions.{other}") for other in present if other != name]
        delta, beta = np.split(w[f"generators.{name}.weight"] @ gelu(sum(others, np.zeros(8))), 2)
        modulated.append(gelu((1 + delta) * dense(x[name], w, f"features.{name}") + beta))
    return np.mean(modulated, axis=0)


def product_of_experts(inputs: Inputs, w: Weights) -> Array:
    x = normed(inputs, w)
    mean, precision = np.zeros(8), np.ones(8)  # the prior, then one factor after the other
    for name in NAMES:
        if x[name] is not None:
            sure = np.log1p(np.exp(dense(x[name], w, f"precisions.{name}")))
            mean = (precision * mean + sure * dense(x[name], w, f"means.{name}")) / (precision + sure)
            precision = precision + sure
    return mean


def cross_attention(inputs: Inputs, w: Weights) -> Array:
    tokens = projected(inputs, w)
    s = {name: np.concatenate([w[f"first.{name}"], tokens.get(name, np.empty((0, 8)))]) for name in NAMES}
    results = []
    for target in NAMES:
        sources = [name for name in NAMES if name != target]
        x = np.mean([block(s[target], w, f"cross.{target}.{name}.0", s[name]) for name in sources], axis=0)
        results.append(block(x, w, f"own.{target}.0")[0])
    return norm(np.concatenate(results), w, "norm")


def bottleneck(inputs: Inputs, w: Weights) -> Array:
    streams = {n: np.concatenate([w[f"class_tokens.{n}"], x]) for n, x in projected(inputs, w).items()}
    shared = w["bottlenecks"]
    for layer in range(2):
        outcomes = {
            name: block(np.concatenate([x, shared]), w, f"layers.{layer}.{name}")
            for name, x in streams.items()
        }
        streams = {name: x[:-2] for name, x in outcomes.items()}
        shared = np.mean([x[-2:] for x in outcomes.values()], axis=0)
    return np.mean([norm(x[0], w, "norm") for x in streams.values()], axis=0)


def perceiver(inputs: Inputs, w: Weights) -> Array:
    seen = np.concatenate([x + w[f"modality.{name}"] for name, x in projected(inputs, w).items()])
    x = w["latents"]
    for layer in range(2):
        x = block(block(x, w, f"reading.{layer}", seen), w, f"thinking.{layer}")
    return norm(x.mean(0), w, "norm")


def trees(inputs: Inputs, w: Weights) -> Array:
    columns: list[float] = []
    for n in NAMES:
        own, directions = w[f"reductions.{n}.columns"].astype(int), w[f"reductions.{n}.directions"]
        if inputs[n] is None:
            columns += [np.nan] * (3 + len(own) + directions.shape[1])
            continue
        x = inputs[n].mean(0)
        columns += softmax(dense(x, w, f"heads.{n}"), 0).tolist()
        columns += [*x[own], *((x - w[f"reductions.{n}.mean"]) @ directions)]
    text = bytes(w["forest.model_0"].astype(np.uint8)).decode()
    raw = lightgbm.Booster(model_str=text).predict(np.array([columns]), raw_score=True)[0]
    return np.atleast_1d(raw) @ w["forest.mix"] + w["forest.base"]


def plugin(inputs: Inputs, w: Weights) -> Array:
    x = normed(inputs, w)
    return np.log(sum(np.exp(dense(x[n], w, f"projections.{n}")) for n in NAMES if x[n] is not None))


REFERENCES = {
    "concat": concat,
    "late": late,
    "gated": gated,
    "transformer": transformer,
    "sum": total,
    "tensor": tensor,
    "low_rank": low_rank,
    "multiplicative": multiplicative,
    "film": film,
    "product_of_experts": product_of_experts,
    "cross_attention": cross_attention,
    "bottleneck": bottleneck,
    "perceiver": perceiver,
    "trees": trees,
    "plugin": plugin,
}


def compare(name: str, reference: Any, tokens: dict[str, int], **options: Any) -> None:
    torch.manual_seed(3)
    fusion = build_fusion(config(name, **options), {key: WIDTHS[key] for key in NAMES}, TARGETS).eval()
    if isinstance(fusion, TreeFusion):
        train, val = (tree_rows(NAMES, rows, 3) for rows in (120, 40))
        fusion.learn(train, val, {key: [1] for key in NAMES}, hide=0.3, seed=3)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    weights = {key: value.numpy().astype(float) for key, value in fusion.state_dict().items()}
    embeddings = embed(len(PRESENT), tokens)
    fused = fusion(embeddings, torch.from_numpy(PRESENT)).detach().numpy()
    for row, present in enumerate(PRESENT):
        inputs: Inputs = {}
        for key, is_present in zip(NAMES, present, strict=True):
            x = np.atleast_2d(embeddings[key][row].numpy().astype(float))
            inputs[key] = x[x.any(1)] if is_present else None
        np.testing.assert_allclose(fused[row], reference(inputs, weights), rtol=1e-4, atol=1e-4)


def test_every_fusion_has_a_reference() -> None:
    assert set(REFERENCES) == set(FUSIONS)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("tokens", [[0, 0, 0], [3, 0, 2]], ids=["vectors", "mixed"])
def test_a_fusion_computes_what_its_formula_says(name: str, tokens: list[int]) -> None:
    compare(name, REFERENCES[name], dict(zip(NAMES, tokens, strict=True)))


def test_the_mean_divides_by_the_inputs_present() -> None:
    compare("sum", mean, dict.fromkeys(NAMES, 0), reduction="mean")
