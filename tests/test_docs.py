"""The pages say what the code does: options, commands, targets and files that they name exist."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from components.config import load_pipeline
from components.config.distill import load_distill
from components.config.operations import load_operations
from components.config.sweep import load_sweep
from flows.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def test_the_configuration_page_is_what_make_docs_writes() -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = reference  # dataclasses look their module up
    spec.loader.exec_module(reference)
    assert reference.PAGE.read_text("utf-8") == reference.page(), "run `make docs`"


def test_the_first_pipeline_of_the_readme_is_valid(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "shoes.yaml"
    path.write_text(block, "utf-8")
    assert set(load_pipeline(path, []).inputs) == set(yaml.safe_load(block)["inputs"])
    assert len(block.splitlines()) <= 24


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_commands_and_targets_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)[` ]", text)) <= targets
    assert set(re.findall(r"`braid ([a-z]+)[` ]", text)) <= set(COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_and_its_options_are_in_the_readme(command: str) -> None:
    assert f"`braid {command}" in README
    for option in COMMANDS[command].params:
        for name in option.opts:
            if name.startswith("--"):
                assert name in README, f"braid {command} {name}"


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


def test_no_page_names_an_exit_code_that_the_command_line_does_not_have() -> None:
    codes = re.findall(r"^\| (\d+) \|", README, re.MULTILINE)
    assert codes == re.findall(r"\b(\d+) [a-z]", app.info.epilog or "")
