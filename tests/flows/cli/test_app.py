"""The command line on bad input: one message that names place and remedy, an exit code, no traceback."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.app import app
from flows.servers.local import configured_as
from flows.servers.processes import port_near
from tests.acceptance.e2e.project import PIPELINE, Project, make_project


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("good"), rows=80)


@pytest.fixture
def project(good: Project, tmp_path: Path) -> Project:
    """A copy that a test may spoil."""
    shutil.copytree(good.folder, tmp_path / "project")
    return Project(tmp_path / "project")


def edit(project: Project, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    manifest = project.folder / "manifest.csv"
    change(pd.read_csv(manifest, dtype=str, keep_default_na=False)).to_csv(manifest, index=False)


def configure(project: Project, **changes: object) -> None:
    project.config.write_text(yaml.safe_dump({**PIPELINE, **changes}))


def truncate_picture(project: Project) -> None:
    file = project.folder / "media" / "0.png"
    file.write_bytes(file.read_bytes()[:60])


def empty_sound(project: Project) -> None:
    (project.folder / "media" / "1.wav").write_bytes(b"")


def remove_picture(project: Project) -> None:
    (project.folder / "media" / "2.png").unlink()


@pytest.mark.parametrize(
    ("spoil", "row", "column", "reason"),
    [
        (truncate_picture, "row-000", "picture", "truncated"),
        (empty_sound, "row-001", "sound", "empty"),
        (remove_picture, "row-002", "picture", "no such file"),
    ],
)
def test_a_bad_file_goes_to_quarantine_with_its_reason(
    project: Project, spoil: Callable[[Project], None], row: str, column: str, reason: str
) -> None:
    spoil(project)
    result = project.inside("check", str(project.config))
    assert result.exit_code == 0, result.output
    quarantine = pd.read_parquet(project.workspace / "data" / "tiny" / "quarantine.parquet")
    assert quarantine[["id", "input"]].to_numpy().tolist() == [[row, column]]
    assert reason in quarantine["reason"].item()


def test_too_many_bad_rows_stop_with_what_is_wrong(project: Project) -> None:
    for row in range(10):
        (project.folder / "media" / f"{row}.png").write_bytes(b"no picture")
    result = project.inside("check", str(project.config))
    assert result.exit_code == 3
    assert "row-000" in result.output
    assert "max_bad" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda p: edit(p, lambda t: pd.concat([t, t.head(1)])), 3, ["row-000", "id"]),
        (
            lambda p: configure(p, target={"column": "lable"}),
            3,
            ["target.column", "'lable'", "Did you mean 'label'?"],
        ),
        (
            lambda p: configure(p, fusion={"name": "concatt"}),
            2,
            ["fusion.name", "'concatt'", "Did you mean 'concat'?"],
        ),
        (lambda p: configure(p, data={"source": "nowhere.csv"}), 3, ["nowhere.csv"]),
        (lambda p: p.config.write_text("name: [unclosed"), 2, ["not valid YAML"]),
        (lambda p: edit(p, lambda t: t.assign(split="train")), 3, ["val"]),
        (lambda p: edit(p, lambda t: t.head(0)), 3, ["manifest.csv"]),
        (lambda p: edit(p, lambda t: t.assign(label="ant")), 3, ["class"]),
    ],
    ids=[
        "duplicate id",
        "unknown column",
        "unknown fusion",
        "no manifest",
        "no yaml",
        "no val",
        "no rows",
        "one class",
    ],
)
def test_an_error_names_place_and_remedy(
    project: Project, change: Callable[[Project], object], code: int, words: list[str]
) -> None:
    change(project)
    result = project.inside("check", str(project.config))
    assert result.exit_code == code, result.output
    for word in words:
        assert word in result.output
    assert "Traceback" not in result.output


def test_check_shows_what_would_be_used_and_trains_nothing(good: Project) -> None:
    result = good.inside("check", str(good.config), "--json")
    assert result.exit_code == 0, result.output
    assert '"rows": 80' in result.output
    assert '"preset": {}' in result.output
    assert not (good.workspace / "cache").exists()


def test_check_shows_what_the_quality_has_chosen(good: Project) -> None:
    result = good.inside("check", str(good.config), "--quality", "fast")
    assert result.exit_code == 0, result.output
    assert "fast  (" in result.output
    assert "inputs.words.fit.patience 3" in " ".join(result.output.split())
    wrong = good.inside("check", str(good.config), "--quality", "quick")
    assert wrong.exit_code == 2
    assert "quality: 'quick' is not one of: fast, good, best" in wrong.output


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"braid {version('braid')}\n"


def test_an_unknown_run_has_no_report(good: Project) -> None:
    result = good.inside("report", "nothing")
    assert result.exit_code == 4
    assert "nothing" in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["lost.csv"], 3, "manifest: there is no lost.csv"),
        (["{folder}/tiny.yaml"], 3, "manifest: the name of"),
        (["{folder}/manifest.csv", "--chunk-rows", "100"], 2, "chunk_rows"),
        (["{folder}/manifest.csv", "--max-bad", "5"], 2, "max_bad"),
        (["{folder}/manifest.csv", "--format", "xls"], 2, "format"),
    ],
)
def test_what_cannot_be_scored_is_told_at_once(
    good: Project, arguments: list[str], code: int, message: str
) -> None:
    result = good.inside("score", "tiny", *(each.format(folder=good.folder) for each in arguments))
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{folder}/lost.csv"], 3, "manifest: there is no"),
        (["{folder}/manifest.csv", "--level", "0.7"], 2, "level"),
        (["{folder}/manifest.csv", "--rows", "10"], 2, "rows"),
        (["{folder}/manifest.csv", "--format", "xls"], 2, "format: 'xls' is not one of"),
    ],
)
def test_what_cannot_be_monitored_is_told_at_once(
    good: Project, arguments: list[str], code: int, message: str
) -> None:
    result = good.inside("monitor", "tiny", *(each.format(folder=good.folder) for each in arguments))
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_to_deploy_takes_a_server(good: Project) -> None:
    file = good.folder / "operations.yaml"
    file.write_text("retrain: {files: [tiny.yaml]}")
    result = good.inside("deploy", str(file))
    assert result.exit_code == 4
    assert "PREFECT_API_URL is not set" in result.stderr


@pytest.mark.parametrize("command", ["up", "deploy"])
def test_a_server_that_is_gone_is_named_with_the_place_of_its_setting(good: Project, command: str) -> None:
    address = f"http://127.0.0.1:{port_near(0)}/api"
    operations = good.folder / "operations.yaml"
    operations.write_text(yaml.safe_dump({"retrain": {"files": ["tiny.yaml"]}}))
    with configured_as(address):
        done = good.inside(command, str(operations))
    assert done.exit_code == 4
    assert f"does not answer at {address}" in done.output
    assert "which the environment variable PREFECT_API_URL names" in done.output
