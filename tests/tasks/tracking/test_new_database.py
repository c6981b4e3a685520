"""Several processes that are the first to use a workspace make MLflow's database once."""

from __future__ import annotations

from pathlib import Path

from tasks.tracking.service import make_database
from tests.at_once import answers_at_once

CONNECT = """
import sys
from pathlib import Path
from components.config import load_tracking
from tasks.tracking import runs
at = load_tracking(None, Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(runs.start_run(at, sys.argv[2], sys.argv[2], {}))
"""


def test_three_at_once_have_a_run_each(tmp_path: Path) -> None:
    runs = answers_at_once(CONNECT, [[str(tmp_path), str(number)] for number in range(3)])
    assert len(set(runs)) == 3


def test_a_database_whose_folder_comes_later_is_made_behind_the_lock_too(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    make_database(uri)
    assert not folder.exists()
    folder.mkdir()
    make_database(uri)
    assert (folder / "mlflow.db").exists()
