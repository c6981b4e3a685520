"""Every file, cell and column of the corpora: used as it is, or refused with a reason."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.acceptance.bad_input.guarded import all_cases, try_all
from tests.acceptance.bad_input.oracle import CORPORA, Finding

FEW = 4
"""The short form tries every fourth case, since all take a minute."""


@pytest.fixture(scope="module", params=[FEW, pytest.param(1, marks=pytest.mark.slow)])
def every(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def findings(every: int) -> list[Finding]:
    return list(try_all(every))


@pytest.fixture(scope="module")
def tried(every: int) -> Counter[str]:
    return Counter(case.kind for case in all_cases(every))


@pytest.mark.parametrize("kind", CORPORA)
def test_nothing_crashes_hangs_or_is_substituted(
    findings: list[Finding], tried: Counter[str], kind: str
) -> None:
    of_kind = [finding for finding in findings if finding.kind == kind]
    assert [finding for finding in of_kind if not finding.is_right] == []
    assert len(of_kind) == tried[kind]


def test_there_are_hundreds_of_distinct_bad_ones(findings: list[Finding], every: int) -> None:
    refused = {(finding.kind, finding.name) for finding in findings if finding.became == "refused"}
    contents = {
        (case.kind, repr(case.content), case.ending)
        for case in all_cases(every)
        if (case.kind, case.name) in refused
    }
    assert len(contents) == len(refused) >= 300 // every


def test_reasons_tell_causes_apart(findings: list[Finding]) -> None:
    causes = Counter(finding.message.partition(" (")[0] for finding in findings if finding.kind == "images")
    assert {"empty file", "decompression bomb", "truncated image", "unknown colour mode"} < set(causes)
