"""A resumed run goes on with the time that its earlier processes left."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from flows.run.clock import began


def test_a_new_run_begins_now(tmp_path: Path) -> None:
    assert began(tmp_path) == pytest.approx(time.time(), abs=5)


def test_a_resumed_run_has_spent_the_time_until_the_last_report(tmp_path: Path) -> None:
    hour_ago = time.time() - 3600
    clock, report = tmp_path / "clock.json", tmp_path / "progress" / "fit-note.json"
    report.parent.mkdir()
    report.write_text("{}", "utf-8")
    clock.write_text(json.dumps({"spent": 30.0, "began": hour_ago}), "utf-8")
    os.utime(clock, (hour_ago, hour_ago))
    os.utime(report, (hour_ago + 60, hour_ago + 60))
    assert time.time() - began(tmp_path) == pytest.approx(90, abs=5)
    assert time.time() - began(tmp_path) == pytest.approx(90, abs=5), "nothing was done in between"


def test_a_clock_that_was_set_back_gives_no_time_back(tmp_path: Path) -> None:
    tomorrow = time.time() + 86_400
    (tmp_path / "clock.json").write_text(json.dumps({"spent": 30.0, "began": tomorrow}), "utf-8")
    assert time.time() - began(tmp_path) == pytest.approx(30, abs=5)
