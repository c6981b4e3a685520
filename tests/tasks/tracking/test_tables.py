"""Tables of new databases are those that the installed Prefect and MLflow make by their migrations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flows.prefect_internals import server
from tasks.tracking import mlflow_internals

FILES = (server.tables(), mlflow_internals.tables())


def test_there_are_files_for_the_installed_versions() -> None:
    assert [file for file in FILES if not file.exists()] == [], "make schemas"


@pytest.mark.slow
def test_they_are_as_the_migrations_make_them(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "infra.write_schemas", str(tmp_path)], check=True)
    for file in FILES:
        assert (tmp_path / file.name).read_text("utf-8") == file.read_text("utf-8"), "make schemas"
