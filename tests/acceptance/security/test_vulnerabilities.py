"""`make vulnerabilities` says that all is well only where everything was looked up."""

from __future__ import annotations

import runpy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
faults = runpy.run_path(str(ROOT / "infra/vulnerabilities.py"))["faults"]
TODAY = date(2026, 11, 30)
WEAK = {"id": "GHSA-1", "aliases": ["CVE-2026-1"], "fix_versions": ["2.0"]}
CLEAN = {"name": "a", "version": "1", "vulns": []}


def entry(until: date = TODAY, id: str = "CVE-2026-1") -> dict[str, Any]:
    return {"id": id, "package": "b-c", "reason": "unreachable", "until": until}


@pytest.mark.parametrize(
    ("dependencies", "exceptions", "expected"),
    [
        ([CLEAN, {"name": "b_c", "version": "1", "vulns": []}], [], []),
        ([CLEAN], [], ["b-c: could not be looked up: not in the report"]),
        ([], [], ["a: could not be looked up", "b-c: could not be looked up"]),
        (
            [CLEAN, {"name": "b-c", "skip_reason": "not on the index"}],
            [],
            ["b-c: could not be looked up: not on"],
        ),
        ([CLEAN, {"name": "b-c", "version": "1", "vulns": [WEAK]}], [], ["b-c 1: GHSA-1, fixed in: 2.0"]),
        ([CLEAN, {"name": "b-c", "version": "1", "vulns": [WEAK]}], [entry()], []),
        (
            [CLEAN, {"name": "b-c", "version": "1", "vulns": [WEAK]}],
            [entry(date(2026, 11, 29))],
            ["b-c: the exception for CVE-2026-1 ran out on 2026-11-29"],
        ),
        (
            [CLEAN, {"name": "b-c", "version": "1", "vulns": []}],
            [entry()],
            ["b-c: CVE-2026-1 is no longer found"],
        ),
    ],
)
def test_what_is_not_known_to_be_well_is_a_fault(
    dependencies: list[Any], exceptions: list[Any], expected: list[str]
) -> None:
    lines = faults({"dependencies": dependencies}, exceptions, ["a", "b-c"], TODAY)
    assert len(lines) == len(expected)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))


def test_every_exception_has_a_reason_and_a_day() -> None:
    for each in yaml.safe_load((ROOT / "infra/vulnerabilities.yaml").read_text("utf-8")):
        assert set(each) == {"id", "package", "reason", "until"}
        assert isinstance(each["until"], date)
