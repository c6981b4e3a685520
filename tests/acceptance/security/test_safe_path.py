"""Modules beside the data are not executed, whatever they are called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MODULES = ("yaml.py", "uvicorn.py", "prefect.py", "tasks.py", "flows/__init__.py", "components/__init__.py")
MARK = "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\nraise SystemExit('executed')\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pipeline and its data, with hostile modules beside them."""
    for module in MODULES:
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).write_text(MARK)
    lines = [f"r{row},{'ab'[row % 2]},word{row}" for row in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["id,label,note", *lines]))
    (tmp_path / "t.yaml").write_text(
        "name: t\ndata: {source: rows.csv}\ninputs: {note: {modality: text, columns: note}}\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [[str(Path(sys.executable).with_name("braid"))], [sys.executable, "-m", "flows.cli.app"]],
    ids=["script", "module"],
)
def test_no_module_of_the_working_directory_is_executed(folder: Path, command: list[str]) -> None:
    if command[-1] == "flows.cli.app":
        for package in (
            "flows",
            "components",
        ):  # which python -m looks for here by itself
            (folder / package / "__init__.py").unlink()
            (folder / package).rmdir()
    done = subprocess.run(
        [*command, "check", "t.yaml"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(folder.rglob("*.ran")), "a module beside the data was executed"
