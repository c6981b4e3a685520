"""The pages agree with the code: options, commands, exit codes, examples and shipped files."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from typer.main import get_command

from components.config import load_pipeline
from components.config.distill import load_distill
from components.config.operations import load_operations
from components.config.sweep import load_sweep
from components.models.encoders.protocol import Encoder, masked_mean
from components.models.fusion import masking as embeddings
from components.models.fusion.protocol import Fusion
from flows.cli.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
COMMAND_LINE = (ROOT / "docs" / "reference" / "command-line.md").read_text("utf-8")
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def test_the_configuration_page_is_what_make_docs_writes() -> None:
    path = ROOT / "docs" / "write_configuration.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    sys.modules["write_configuration"] = reference  # dataclasses look their module up
    spec.loader.exec_module(reference)
    assert reference.PAGE.read_text("utf-8") == reference.page(), "run `make docs`"


def test_the_first_pipeline_of_the_readme_is_valid(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "shoes.yaml"
    path.write_text(block, "utf-8")
    assert set(load_pipeline(path, []).inputs) == set(yaml.safe_load(block)["inputs"])
    assert len(block.splitlines()) <= 24


def test_the_page_of_the_command_line_lists_every_command() -> None:
    assert set(re.findall(r"^\| `braid ([a-z]+)", COMMAND_LINE, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configs_are_valid(config: Path) -> None:
    text = config.read_text("utf-8")
    if config.stem == "operations":
        assert load_operations(config).retrain.files
    elif "students:" in text:
        assert load_distill(config).file.name == config.stem
    else:
        load = load_sweep if "pipelines:" in text else load_pipeline
        assert load(config, []).name == config.stem


def test_the_page_of_the_command_line_lists_every_exit_code() -> None:
    codes = re.findall(r"^\| (\d+) \|", COMMAND_LINE, re.MULTILINE)
    assert codes == re.findall(r"\b(\d+) [a-z]", app.info.epilog or "")


def test_the_encoder_and_the_fusion_of_the_guide_work() -> None:
    blocks = re.findall(
        r"^( *)```python\n(.*?)```", (ROOT / "docs/tutorial/extending.md").read_text("utf-8"), re.S | re.M
    )
    fusion, encoder = (textwrap.dedent(indent + block) for indent, block in blocks[:2])
    names: dict[str, Any] = {
        **vars(embeddings),
        "Mapping": Mapping,
        "Targets": object,
        "Tensor": Tensor,
        "torch": torch,
    }
    names |= {"Fusion": Fusion, "Encoder": Encoder, "nn": nn, "masked_mean": masked_mean}
    exec(fusion + encoder, names)

    tokens = {"ids": torch.tensor([[3, 4, 0]]), "mask": torch.tensor([[True, True, False]])}
    average = names["Average"](5, vocabulary_size=8, embedding=4).eval()
    assert average(tokens).shape == (1, 5)
    assert torch.equal(average(tokens), average(tokens | {"ids": torch.tensor([[3, 4, 7]])}))

    present = torch.tensor([[True, False]])
    maximum = names["SoftMaximum"]({"b": 3, "a": 2}, None, width=6).eval()
    results = [
        maximum({"a": torch.ones(1, 2), "b": torch.full((1, 3), absent)}, present) for absent in (0.0, 9.0)
    ]
    assert results[0].shape == (1, 6)
    assert torch.equal(*results)


def test_files_and_dictionaries_that_the_guide_names_exist() -> None:
    guide = (ROOT / "docs/tutorial/extending.md").read_text("utf-8")
    for path in re.findall(r"`((?:components|tests)/[\w/.]+)`", guide):
        assert (ROOT / path).exists() or path.endswith("my_encoder.py"), path
    for names, path in re.findall(r"((?:`[A-Z_]+`(?:, )?)+)[^|`\n]{1,5}`(components/[\w/.]+)`", guide):
        code = "".join(file.read_text("utf-8") for file in _modules(ROOT / path))
        for name in re.findall(r"[A-Z_]+", names):
            assert re.search(rf"^{name}\b", code, re.MULTILINE), (name, path)


EXAMPLES = [path for path in (ROOT / "components").rglob("*.py") if ">>>" in path.read_text("utf-8")]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_in_docstrings_give_what_they_show(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    torch.manual_seed(0)
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    ran = doctest.testmod(importlib.import_module(name))
    assert ran.attempted > 0
    assert ran.failed == 0


def _modules(path: Path) -> list[Path]:
    return sorted(path.glob("*.py")) if path.is_dir() else [path]
