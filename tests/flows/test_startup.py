"""Libraries that a user waits for before a command does anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flows.servers import processes
from flows.servers.local import prefect_api
from flows.workers.imports import imported

HEAVY = {"torch", "prefect", "mlflow", "pandas", "scipy", "matplotlib"}


def test_help_and_wrong_usage_wait_for_no_library() -> None:
    script = "import flows.cli.app, sys; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert "typer" in modules.split()
    assert not HEAVY & set(modules.split())


def test_a_flow_is_imported_while_the_server_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_flow_of_this_test.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    started: list[subprocess.Popen[bytes]] = []
    begun = processes.tethered.start

    def start(*arguments: object) -> subprocess.Popen[bytes]:
        assert "a_flow_of_this_test" not in sys.modules
        started.append(begun("http.server", ["0"], tmp_path / "log", {}))
        return started[0]

    def wait(*arguments: object) -> None:
        assert started[0].poll() is None
        assert "a_flow_of_this_test" in sys.modules

    monkeypatch.setattr(processes.tethered, "start", start)
    monkeypatch.setattr(processes, "_wait_until_healthy", wait)
    with prefect_api(tmp_path, lambda: imported(["a_flow_of_this_test"])):
        assert started[0].poll() is None
    assert started[0].poll() is not None
