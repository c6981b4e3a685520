"""Number of parameters that a fusion learns, and that the tensor product stays small."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from components.config import ConfigError, load_pipeline
from components.config.fusion import MOST_ENTRIES, TensorConfig, tensor_entries
from components.errors import ModelError
from components.models.fusion import FUSIONS, build_fusion
from components.models.networks import Fused
from tests.components.models.fusion.small import KINDS
from tests.components.small_targets import alone

TARGETS = alone(10)
WIDTHS = {"a": 128, "b": 64}
# with the head of Fused and the options' defaults; networks for some thousand rows
PARAMETERS = {
    "concat": 26_570,
    "late": 1_990,
    "gated": 75_914,
    "transformer": 423_946,
    "sum": 26_506,
    "tensor": 25_762,
    "low_rank": 101_130,
    "multiplicative": 104_714,
    "film": 116_874,
    "product_of_experts": 51_338,
    "cross_attention": 148_362,
    "bottleneck": 147_594,
    "perceiver": 148_106,
    "trees": 1_940,  # the heads of the inputs, which stay as they are
    "plugin": 13_450,
}


def test_every_fusion_is_in_the_table() -> None:
    assert set(PARAMETERS) == set(FUSIONS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_number_of_parameters_is_what_the_table_says(name: str) -> None:
    options = {"plugin": "soft_maximum"} if name == "plugin" else {}
    network = Fused(build_fusion(KINDS[name](**options), WIDTHS, TARGETS), TARGETS)
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    section = {"modality": "text", "encoder": {"name": "gru"}}
    values = {
        "name": "t",
        "data": {"source": "rows.csv"},
        "inputs": {name: {**section, "columns": name} for name in ("a", "b", "c", "d")},
        "fusion": {"name": "tensor"},
    }
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


def test_the_default_factors_are_small_enough_for_four_inputs(file: Path) -> None:
    assert isinstance(load_pipeline(file).fusion, TensorConfig)


def test_a_product_that_is_too_large_is_told_with_its_size_and_what_fits(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_pipeline(file, ["fusion.factor_width=16"])
    assert (
        "fusion.factor_width: 16 makes a product of 17^4 = 83521 numbers for 4 inputs; "
        "at most 32768 can be used. Take at most 12, or fusion low_rank" in str(caught.value)
    )
    with pytest.raises(ModelError, match=r"fusion\.factor_width: 16 .* = 83521"):
        build_fusion(TensorConfig(factor_width=16), dict.fromkeys("abcd", 4), TARGETS)


@pytest.mark.parametrize("inputs", range(1, 12))
def test_what_the_message_says_fits_does_fit_and_no_more(inputs: int) -> None:
    with pytest.raises(ValueError) as caught:
        tensor_entries(MOST_ENTRIES, inputs)
    fits = int(str(caught.value).partition("Take at most ")[2].partition(",")[0])
    assert tensor_entries(fits, inputs) <= MOST_ENTRIES < (fits + 2) ** inputs


def test_for_many_inputs_nothing_fits() -> None:
    with pytest.raises(ValueError, match=r"2\^16 = 65536 .* Take fusion low_rank$"):
        tensor_entries(1, 16)
