"""Fusions of other distributions: installed, named in the pipeline file, built, and part of cache keys.

The distribution is made by conftest.py from example_plugin.py, which is also the example for users.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from components.config import ConfigError, load_pipeline
from components.config.fusion import PluginConfig, must_be_installed
from components.errors import ModelError
from components.models.code import classes_of, fusion_code
from components.models.fusion import Fusion, build_fusion
from components.storage.closure import Closure, Source, read_source
from tests.components.models.fusion.conftest import SOURCE, Install
from tests.components.models.fusion.small import TARGETS, build

WIDTHS = {"image": 4, "facts": 3}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    inputs = {
        "image": {"modality": "image", "columns": "photo", "encoder": {"name": "cnn"}},
        "facts": {"modality": "tabular", "columns": ["age"], "encoder": {"name": "mlp"}},
    }
    values = {
        "name": "t",
        "data": {"source": "rows.csv"},
        "inputs": inputs,
        "fusion": {"name": "plugin", "plugin": "soft_maximum", "options": {"width": 16}},
    }
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


def config(plugin: str = "soft_maximum", **options: Any) -> PluginConfig:
    return PluginConfig(plugin=plugin, options=options)


def test_a_pipeline_file_names_a_plugin_and_its_options(file: Path) -> None:
    fusion = build_fusion(load_pipeline(file).fusion, WIDTHS, TARGETS)
    assert isinstance(fusion, Fusion)
    assert (type(fusion).__name__, fusion.inputs, fusion.width) == ("SoftMaximum", ("facts", "image"), 16)
    present = torch.tensor([[True, False]])
    assert fusion({"image": torch.ones(1, 4), "facts": torch.ones(1, 3)}, present).shape == (1, 16)


def test_reading_the_file_does_not_import_the_plugin(file: Path, reinstall: Install) -> None:
    reinstall(source="raise RuntimeError('imported')")
    load_pipeline(file)
    assert "braid_example" not in sys.modules


FAULTS = {
    "misspelt": (
        ["fusion.plugin=soft_maximun"],
        "fusion.plugin: 'soft_maximun' is not one of those installed: no_such_class, not_a_fusion, "
        "soft_maximum. Did you mean 'soft_maximum'?",
    ),
    "not named": (
        ["fusion.name=gated", "fusion.name=plugin"],
        "fusion.plugin: required, but not given (Name of the entry point",
    ),
    "unknown option": (["fusion.optoins={}"], "fusion.optoins: unknown option;"),
    "options that are a number": (["fusion.options=3"], "fusion.options: 3: input should be a valid dict"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_in_the_file_is_told_with_its_path(file: Path, kind: str) -> None:
    overrides, message = FAULTS[kind]
    with pytest.raises(ConfigError) as caught:
        load_pipeline(file, overrides)
    assert message in str(caught.value)


def test_where_no_plugin_is_installed_the_group_is_named() -> None:
    with pytest.raises(ValueError, match=r"'mine' is not installed, nor is any other: .*'braid\.none'"):
        must_be_installed("braid.none", "mine")


UNUSABLE: dict[str, tuple[str, dict[str, Any], str]] = {
    "not a fusion": (
        "not_a_fusion",
        {},
        r"'not_a_fusion' \(braid_example:NotAFusion, braid-example 1\.0\) is .*; expected a subclass of "
        r"components\.models\.fusion\.protocol\.Fusion",
    ),
    "no such class": ("no_such_class", {}, r"cannot be imported: AttributeError: .*Nothing"),
    "an option it does not take": (
        "soft_maximum",
        {"wdith": 8},
        r"fusion\.options: \{'wdith': 8\} are refused .*SoftMaximum\(widths: .*width: 'int' = 64\)",
    ),
    "a value it refuses": (
        "soft_maximum",
        {"width": 0},
        r"fusion\.options: \{'width': 0\} .*: width is 0, expected 1 or more",
    ),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_plugin_that_cannot_be_used_is_told(kind: str) -> None:
    plugin, options, message = UNUSABLE[kind]
    with pytest.raises(ModelError, match=message):
        build_fusion(config(plugin, **options), WIDTHS, TARGETS)


def test_a_plugin_that_cannot_be_imported_is_told(reinstall: Install) -> None:
    reinstall(source="import a_module_that_is_not_there")
    with pytest.raises(ModelError, match=r"cannot be imported: ModuleNotFoundError: .*a_module_that"):
        build_fusion(config(), WIDTHS, TARGETS)


def test_a_plugin_that_does_not_say_its_inputs_is_told(reinstall: Install) -> None:
    reinstall(source=SOURCE.read_text("utf-8").replace("tuple(sorted(widths))", "tuple(widths)"))
    with pytest.raises(ModelError, match=r"expected the attributes inputs = \('facts', 'image'\)"):
        build_fusion(config(), WIDTHS, TARGETS)


def test_two_distributions_with_the_same_entry_point_are_told(reinstall: Install) -> None:
    reinstall(name="braid-other", version="3.1")
    with pytest.raises(ModelError, match=r"found .*braid-other 3\.1"):
        build_fusion(config(), WIDTHS, TARGETS)


class TestCacheKey:
    def key(self) -> str:
        return fusion_code(build_fusion(config(), WIDTHS, TARGETS), config())

    def test_it_stays_while_nothing_changes(self, reinstall: Install) -> None:
        before = self.key()
        reinstall()  # the same distribution in another place
        assert self.key() == before

    def test_a_comment_in_the_code_leaves_it(self, reinstall: Install) -> None:
        before = self.key()
        reinstall(source=SOURCE.read_text("utf-8") + "\n# a comment\n")
        assert self.key() == before

    def test_other_code_changes_it(self, reinstall: Install) -> None:
        before = self.key()
        reinstall(source=SOURCE.read_text("utf-8").replace("-1e4", "-1e3"))
        assert self.key() != before

    def test_another_version_changes_it(self, reinstall: Install) -> None:
        before = self.key()
        reinstall(version="1.1")
        assert self.key() != before

    def test_it_holds_the_classes_of_all_parts(self) -> None:
        names = {kind.__name__ for kind in classes_of(build("bottleneck"))}
        assert names == {"Bottleneck", "Block", "Attention"}
        assert [kind.__name__ for kind in classes_of(build("plugin"))] == ["SoftMaximum"]

    def test_a_change_in_this_project_that_the_plugin_calls_changes_it(self) -> None:
        kind = type(build("plugin"))

        def read(name: str) -> Source | None:
            source = read_source(name)
            if source is None or name != "components.models.fusion.masking":
                return source
            assert ".clamp(min=1)" in source.text
            return source._replace(text=source.text.replace(".clamp(min=1)", ""))

        assert Closure(kind).digest() != Closure(kind, read=read).digest()
