"""Progress of a run where there is no terminal: one line for each step that begins, gets on, or ends."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from components.storage.atomic import write_json
from flows.cli import progress_bars
from flows.cli.progress_bars import followed


def _report(run: Path, **standing: object) -> None:
    file = run / "progress" / f"{str(standing['step']).replace(' ', '-')}.json"
    file.parent.mkdir(exist_ok=True)
    write_json(file, standing)


def test_a_log_gets_a_line_per_tenth_of_a_step_and_one_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_bars, "_EVERY", 0.01)
    monkeypatch.setattr(progress_bars, "newest_of", lambda workspace, process: tmp_path)
    log = io.StringIO()

    def wait_for(text: str) -> None:
        deadline = time.monotonic() + 20
        while text not in log.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert text in log.getvalue()

    with followed(Console(file=log, width=200), tmp_path) as begin:
        assert "starting Prefect and MLflow" in log.getvalue()
        begin()
        _report(tmp_path, step="fit image", done=0, total=40)
        wait_for("fit image 0/40\n")
        _report(tmp_path, step="fit image", done=8, total=40, note="accuracy .5")
        wait_for("fit image 8/40: accuracy .5\n")
        _report(tmp_path, step="fit image", done=9, total=40, note="accuracy .51")
        _report(tmp_path, step="fit words", done=1, total=2)
        wait_for("fit words 1/2\n")
        _report(tmp_path, step="fit image", done=1, total=1, note="accuracy \x1b[1m.9", finished=True)
    lines = [line.split(" s  ")[1] for line in log.getvalue().splitlines()]
    assert [line for line in lines if line.startswith("fit image")] == [
        "fit image 0/40",
        "fit image 8/40: accuracy .5",
        "fit image: accuracy \\u001b[1m.9, done",
    ]
    assert "\x1b" not in log.getvalue()
