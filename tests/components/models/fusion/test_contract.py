"""The contract of components/models/fusion/protocol.py, held by every fusion of the dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from components.config.fusion import ConcatConfig
from components.models.fusion import FUSIONS, Fusion, build_fusion
from tests.components.models.fusion.small import KINDS, OUTPUTS, TARGETS, WIDTHS, build, embed, subsets

# Float32 sums of the same numbers in a batch or a sequence of another size differ in the last digits.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
every_fusion = pytest.mark.parametrize("name", FUSIONS)
every_fusion_with_a_gradient = pytest.mark.parametrize("name", [name for name in FUSIONS if name != "trees"])


@dataclass(frozen=True)
class Case:
    """Some rows of some inputs.

    Attributes:
        names: One to four inputs, in any order.
        tokens: By input: 0 for a vector, else the number of tokens.
        rows: For each row which of the sorted inputs are there; at least one.
    """

    names: tuple[str, ...]
    tokens: dict[str, int]
    rows: list[tuple[bool, ...]]
    seed: int

    @property
    def present(self) -> Tensor:
        return torch.tensor(self.rows)

    @property
    def sorted(self) -> tuple[str, ...]:
        return tuple(sorted(self.names))

    def embed(self) -> dict[str, Tensor]:
        return embed(len(self.rows), self.tokens, self.seed)


@st.composite
def cases(draw: st.DrawFn, most_rows: int = 3) -> Case:
    names = draw(st.permutations(list(WIDTHS)))[: draw(st.integers(1, 4))]
    tokens = {name: draw(st.sampled_from([0, 1, 3])) for name in names}
    rows = draw(st.lists(st.sampled_from(subsets(len(names))), min_size=1, max_size=most_rows))
    return Case(tuple(names), tokens, rows, draw(st.integers(0, 99)))


@lru_cache
def prepared(name: str, names: tuple[str, ...]) -> Fusion:
    """In eval mode, with no weight at 0 or 1; not to be changed."""
    fusion = build(name, names).eval()
    for parameter in fusion.parameters():
        if parameter.requires_grad:  # the heads that trees have learned above stay
            torch.nn.init.normal_(parameter, std=0.5)
    return fusion


def gradients(fusion: Fusion, embeddings: dict[str, Tensor], present: Tensor) -> list[Tensor | None]:
    """The result and its gradients by weights and embeddings, each output with a weight of its own."""
    leaves = {name: value.clone().requires_grad_() for name, value in embeddings.items()}
    fused = fusion(leaves, present)
    if not fused.requires_grad:  # trees
        return [fused, *(None for _ in (*fusion.parameters(), *leaves))]
    fusion.zero_grad()
    (fused * torch.linspace(-1, 2, fused.numel()).view_as(fused)).sum().backward()
    variables = [*fusion.parameters(), *(leaves[name] for name in sorted(leaves))]
    return [fused.detach(), *(value.grad for value in variables)]


def test_every_section_of_the_configuration_has_a_fusion() -> None:
    assert set(KINDS) == set(FUSIONS)


@every_fusion
@given(case=cases())
@settings(max_examples=12)
def test_inputs_are_sorted_and_the_declared_width_is_the_real_width(name: str, case: Case) -> None:
    fusion = prepared(name, case.names)
    assert fusion.inputs == case.sorted
    assert fusion(case.embed(), case.present).shape == (len(case.rows), fusion.width)
    wide = {"late": OUTPUTS, "trees": OUTPUTS, "cross_attention": 8 * len(case.names)}
    assert fusion.width == wide.get(name, 8)


def test_a_concatenation_without_layers_is_as_wide_as_all_its_inputs() -> None:
    fusion = build_fusion(ConcatConfig(layers=0, width=99), WIDTHS, TARGETS)
    assert fusion.width == 18
    assert fusion(embed(1, dict.fromkeys(WIDTHS, 0)), torch.ones(1, 4, dtype=torch.bool)).shape == (1, 18)


@every_fusion
@given(case=cases(), scale=st.sampled_from([1e-6, 1.0, 1e4]))
@settings(max_examples=20)
def test_output_and_gradients_are_finite_for_every_subset(name: str, case: Case, scale: float) -> None:
    fusion = build(name, case.names).train()
    embeddings = {key: value * scale for key, value in case.embed().items()}
    for value in gradients(fusion, embeddings, case.present):
        assert value is None or torch.isfinite(value).all()


@every_fusion
def test_a_row_without_any_input_gives_something_finite(name: str) -> None:
    fusion, present = prepared(name, ("image", "text")), torch.tensor([[False, False], [True, True]])
    for value in gradients(fusion, embed(2, {"image": 0, "text": 3}), present):
        assert value is None or torch.isfinite(value).all()


RUBBISH = st.sampled_from([float("nan"), float("inf"), float("-inf"), 1e30, -7.5])


@every_fusion
@given(case=cases(), holds=RUBBISH)
@settings(max_examples=25)
def test_what_an_absent_input_holds_changes_neither_output_nor_gradients(
    name: str, case: Case, holds: float
) -> None:
    fusion, embeddings = prepared(name, case.names), case.embed()
    rubbish = {}
    for column, key in enumerate(case.sorted):
        present = case.present[:, column].view(-1, *[1] * (embeddings[key].dim() - 1))
        rubbish[key] = torch.where(present, embeddings[key], torch.tensor(holds))
    expected = gradients(fusion, embeddings, case.present)
    for actual, wanted in zip(gradients(fusion, rubbish, case.present), expected, strict=True):
        if wanted is not None:
            torch.testing.assert_close(actual, wanted, rtol=0, atol=0)


@every_fusion
@given(case=cases())
@settings(max_examples=10)
def test_the_order_of_inputs_does_not_matter(name: str, case: Case) -> None:
    one, other = build(name, case.names).eval(), build(name, case.sorted).eval()
    embeddings = case.embed()
    reordered = {key: embeddings[key] for key in case.sorted}
    torch.testing.assert_close(other(reordered, case.present), one(embeddings, case.present), rtol=0, atol=0)


@every_fusion
@given(case=cases(most_rows=1))
@settings(max_examples=15)
def test_a_batch_of_one_works_in_train_mode(name: str, case: Case) -> None:
    assert torch.isfinite(build(name, case.names).train()(case.embed(), case.present)).all()


@every_fusion
@given(case=cases())
@settings(max_examples=8)
def test_a_fresh_instance_with_its_weights_gives_the_same_output(name: str, case: Case) -> None:
    fusion, fresh = prepared(name, case.names), build(name, case.names, seed=1).eval()
    fresh.load_state_dict(fusion.state_dict())
    inputs = case.embed(), case.present
    torch.testing.assert_close(fresh(*inputs), fusion(*inputs), rtol=0, atol=0)


@every_fusion_with_a_gradient
@given(case=cases())
@settings(max_examples=20)
def test_a_gradient_reaches_every_present_input_and_no_other(name: str, case: Case) -> None:
    fusion = prepared(name, case.names)
    per_input = gradients(fusion, case.embed(), case.present)[-len(case.names) :]
    for column, value in enumerate(per_input):
        has_gradient = value.flatten(1).abs().sum(1) > 0  # (B,)
        assert has_gradient.tolist() == case.present[:, column].tolist()


# With a single input there is nothing to gate, and no row teaches what stands for a missing one.
@every_fusion_with_a_gradient
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize(
    "tokens", [[0, 0, 0, 0], [3, 3, 3, 3], [0, 3, 0, 3]], ids=["vectors", "tokens", "mixed"]
)
def test_a_gradient_reaches_every_parameter(name: str, count: int, tokens: list[int]) -> None:
    names = tuple(WIDTHS)[:count]
    fusion, present = prepared(name, names), torch.tensor(subsets(count))
    gradients(fusion, embed(len(present), dict(zip(names, tokens, strict=False))), present)
    without = [key for key, p in fusion.named_parameters() if p.grad is None or not p.grad.abs().max() > 1e-6]
    assert without == []


@every_fusion_with_a_gradient
def test_all_that_is_learned_is_a_parameter(name: str) -> None:
    fusion = build(name)
    learned = sum(parameter.numel() for parameter in fusion.parameters() if parameter.requires_grad)
    assert learned == sum(value.numel() for value in fusion.state_dict().values()) > 0


@every_fusion
@given(case=cases(most_rows=4))
@settings(max_examples=20)
def test_rows_do_not_leak_into_each_other(name: str, case: Case) -> None:
    fusion, embeddings, present = prepared(name, case.names), case.embed(), case.present
    whole = fusion(embeddings, present)
    for row in range(len(present)):
        alone = fusion({key: value[[row]] for key, value in embeddings.items()}, present[[row]])
        torch.testing.assert_close(alone, whole[[row]], **CLOSE)
    changed = {key: torch.cat([value[:1], value[1:] * -3]) for key, value in embeddings.items()}
    torch.testing.assert_close(fusion(changed, present)[0], whole[0], **CLOSE)


def pad(tokens: Tensor, places: list[int]) -> Tensor:
    """(B, T, D) with a zero vector put in at each place in turn."""
    for position in places:
        zeros = torch.zeros_like(tokens[:, :1])
        tokens = torch.cat([tokens[:, :position], zeros, tokens[:, position:]], dim=1)
    return tokens


@every_fusion
@given(case=cases(), places=st.lists(st.integers(0, 3), min_size=1, max_size=4))
@settings(max_examples=20)
def test_padding_between_and_behind_tokens_changes_nothing(name: str, case: Case, places: list[int]) -> None:
    fusion, present, embeddings = prepared(name, case.names), case.present, case.embed()
    padded = {key: pad(value, places) if value.dim() == 3 else value for key, value in embeddings.items()}
    torch.testing.assert_close(fusion(padded, present), fusion(embeddings, present), **CLOSE)


@every_fusion
def test_bfloat16_embeddings_are_taken_in_mixed_precision(name: str) -> None:
    fusion, present = build(name).eval(), torch.tensor(subsets(3))
    embeddings = embed(7, {"image": 0, "text": 3, "voice": 0})
    with torch.autocast("cpu", torch.bfloat16):
        fused = fusion({key: value.bfloat16() for key, value in embeddings.items()}, present)
    # bfloat16 keeps 8 bits of the mantissa: steps of 0.4 %, over a few layers
    torch.testing.assert_close(fused.float(), fusion(embeddings, present), rtol=0.1, atol=0.1)
