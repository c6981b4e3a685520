"""The Dockerfile: what a linter would say of it, in a few lines; it cannot be built where no engine runs."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
INFRA = ROOT / "infra"
LINES = re.sub(r"\\\n\s*", "", (INFRA / "Dockerfile").read_text("utf-8")).splitlines()
STEPS = [tuple(line.split(None, 1)) for line in LINES if line and not line.startswith("#")]
SCRIPTS = sorted(
    path for path in INFRA.rglob("*") if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh")
)


def stages() -> dict[str, list[tuple[str, ...]]]:
    steps: dict[str, list[tuple[str, ...]]] = {}
    for step in STEPS:
        if step[0] == "FROM":
            steps[step[1].split(" AS ")[1]] = []
        if steps:
            steps[list(steps)[-1]].append(step)
    return steps


def test_bases_are_pinned_and_slim() -> None:
    (python,) = [step[1] for step in STEPS if step[0] == "ARG" and step[1].startswith("PYTHON=")]
    assert re.fullmatch(r"PYTHON=3\.11\.\d+-slim-bookworm", python)
    bases = [step[1].split(" AS ")[0] for step in STEPS if step[0] == "FROM"]
    assert set(bases) == {"python:${PYTHON}", "runtime"}


def test_it_runs_as_a_numeric_user_that_is_not_root() -> None:
    for name in ("cpu", "cuda"):
        steps = [*stages()["runtime"], *stages()[name]]
        users = [step[1] for step in steps if step[0] == "USER"]
        assert users
        assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", users[-1])  # Kubernetes can tell that a number is not root


def test_versions_are_those_of_constraints() -> None:
    installs = re.findall(r"pip install [^;&]*", "\n".join(LINES))
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in install for install in installs)
    copies = [step[1] for step in stages()["build"] if step[0] == "COPY"]
    assert copies[0] == "constraints.txt ./"  # before torch is installed


def test_the_last_stages_install_nothing_and_take_no_build_tools() -> None:
    stage = stages()
    for name in ("runtime", "cpu", "cuda"):
        text = "\n".join(" ".join(step) for step in stage[name])
        assert not re.search(r"\b(pip|apt-get|curl|wget|git|gcc)\b", text), name
        assert "ADD" not in {step[0] for step in stage[name]}
    (source,) = [step[1] for step in stage["runtime"] if "--from" in step[-1]]
    assert source == "--from=build /opt/venv /opt/venv"


def test_secrets_are_no_part_of_it() -> None:
    set_here = "\n".join(step[1] for step in STEPS if step[0] in ("ARG", "ENV"))
    assert not re.search(r"PASSWORD|SECRET|TOKEN|KEY|AUTH_STRING", set_here)


def test_what_is_written_goes_where_it_may() -> None:
    (settings,) = [step[1] for step in stages()["runtime"] if step[0] == "ENV"]
    paths = [
        path for path in re.findall(r"=(/\S+)", settings) if not path.startswith(("/opt/braid", "/opt/venv"))
    ]
    assert paths
    assert all(path.startswith(("/tmp", "/workspace")) for path in paths)
    (volumes,) = [step[1] for step in stages()["runtime"] if step[0] == "VOLUME"]
    assert volumes == '["/workspace", "/tmp"]'


def test_all_that_is_copied_is_let_through_and_secrets_are_not() -> None:
    rules = (ROOT / ".dockerignore").read_text("utf-8").split()
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert "*" in rules
    for step in STEPS:
        if step[0] == "COPY" and "--from" not in step[1]:
            for source in step[1].split()[:-1]:
                assert source in allowed, source
                assert (ROOT / source).exists(), source
    assert "**/.env" in rules
    ignored = (ROOT / ".gitignore").read_text("utf-8").split()
    assert {"infra/.env", "secrets.env", "infra/backups/"} <= set(ignored)


def test_extras_that_it_installs_exist() -> None:
    (extras,) = [
        step[1].partition("=")[2] for step in STEPS if step[0] == "ARG" and step[1].startswith("EXTRAS=")
    ]
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(INFRA)))
def test_scripts_are_sound_and_may_be_run(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", str(script)], check=True)
    assert re.search(r"^set -eu$", script.read_text("utf-8"), re.MULTILINE)
