"""Several processes that are the first to use a workspace make MLflow's database once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from components.config import load_tracking
from tasks.tracking import runs
from tasks.tracking.service import make_database
from tests.forks import at_once


def start_run(together: Callable[[], object], workspace: Path, name: str) -> str:
    at = load_tracking(None, workspace)
    together()
    return runs.start_run(at, name, name, {})


def test_three_at_once_have_a_run_each(tmp_path: Path) -> None:
    assert len(set(at_once(start_run, [(tmp_path, str(number)) for number in range(3)]))) == 3


def test_a_database_whose_folder_comes_later_is_made_behind_the_lock_too(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    make_database(uri)
    assert not folder.exists()
    folder.mkdir()
    make_database(uri)
    assert (folder / "mlflow.db").exists()
