"""A workspace that this user may read and not write to: what reads works, what writes says why it can't."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from components.errors import ServiceError
from components.storage.writable import require_writable
from tests.acceptance.e2e.project import Project
from tests.forks import at_once

pytestmark = pytest.mark.e2e
Outcome = tuple[int, str]


def give_up_privileges() -> None:
    """Have the modes of files hold for this process, should root run it."""
    version_3, this_thread = 0x20080522, 0
    none = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(version_3, this_thread), none):
        raise OSError("capset")


def braid(together: Callable[[], object], project: Project, *arguments: str) -> Outcome:
    """Run a command as a user without privileges; its exit code, and what it prints."""
    together()
    give_up_privileges()
    done = project.inside(*arguments)
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def read_only(project: Project) -> Iterator[Project]:
    """The project, in which nobody may write but beside the workspace."""
    paths = [project.workspace, *project.workspace.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & 0o555)
    yield project
    for path, mode in modes.items():
        path.chmod(mode)


def test_check_report_and_score_read_it(read_only: Project) -> None:
    table = read_only.folder / "new.csv"
    rows = pd.read_csv(read_only.folder / "manifest.csv").head(20).drop(columns=["label", "split"])
    rows.to_csv(table, index=False)
    runs = len(MlflowClient(read_only.tracking_uri).search_runs(["1"], max_results=1000))
    commands = [
        ("check", str(read_only.config)),
        ("report", "last"),
        ("score", "tiny", str(table), "--out", str(read_only.folder / "scores")),
    ]
    outcomes = at_once(braid, [(read_only, *command) for command in commands])
    for command, (code, printed) in zip(commands, outcomes, strict=True):
        assert code == 0, (command, printed)
        assert "may not write there" in printed.replace("\n", " ")
    (predictions,) = (read_only.folder / "scores").glob("*/predictions")
    assert len(pd.read_parquet(predictions)) == 20
    assert Path(outcomes[1][1].strip().splitlines()[-1]).read_text("utf-8").startswith("<!doctype html>")
    assert len(MlflowClient(read_only.tracking_uri).search_runs(["1"], max_results=1000)) == runs


@pytest.mark.parametrize("command", ["run", "up"])
def test_what_writes_says_who_may_and_what_to_do(read_only: Project, command: str) -> None:
    file = read_only.config
    if command == "up":
        file = read_only.folder / "operations.yaml"
        file.write_text("retrain: {files: [tiny.yaml]}")
    ((code, printed),) = at_once(braid, [(read_only, command, str(file))])
    assert code == 4, printed
    message = printed.replace("\n", " ")
    assert f"{read_only.workspace} belongs to " in message
    assert "choose another folder by --workspace" in message


def test_a_file_in_the_place_of_the_workspace_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="is a file and no folder: remove it, or choose another"):
        require_writable(tmp_path / "file")


def test_who_may_write_is_told_nothing(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "folder")
    assert not list((tmp_path / "new" / "folder").iterdir())
