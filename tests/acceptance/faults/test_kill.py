"""kill -9 in the middle and at the ends of steps, Ctrl-C and SIGTERM; then the same command again.

Kills at each write of a pipeline are in test_killed_writes.py; every step and random moments in `make soak`.
"""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.e2e.project import Project, make_project
from tests.acceptance.e2e.test_retrain import FITS, runs_of
from tests.acceptance.faults.kills import (
    QUICK,
    Items,
    compared,
    doubled,
    is_there,
    items,
    lost,
    signal_at,
    strike,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, api: str) -> tuple[Project, dict[str, Any], list[Items]]:
    """A run that was killed again and again and then left to finish; what there was after each kill."""
    project = make_project(tmp_path_factory.mktemp("killed"), api=api, **QUICK)
    own_server, counts = replace(project, api=None), []
    for struck, step, at_its_end in ((own_server, "extract-picture", True), (project, "fit-fusion", False)):
        started = time.time()
        code = strike(struck, lambda s=step, t=started, e=at_its_end: is_there(project, s, t, e))  # type: ignore[misc]
        assert code == -signal.SIGKILL
        counts.append(items(project))
    result = project.run()
    return project, result, [*counts, items(project)]


def test_the_run_finishes_with_the_metrics_and_the_model_of_an_undisturbed_one(
    killed: tuple[Project, dict[str, Any], list[Items]], undisturbed: Project
) -> None:
    assert compared(undisturbed, killed[0]) == []


def test_nothing_is_lost_and_nothing_is_there_twice(
    killed: tuple[Project, dict[str, Any], list[Items]], undisturbed: Project
) -> None:
    project, result, counts = killed
    for before, after in pairwise(counts):
        assert lost(before, after) == []
    assert [doubled(each) for each in counts] == [[]] * len(counts)
    assert lost(items(undisturbed), counts[-1]) == lost(counts[-1], items(undisturbed)) == []
    parents, nested = runs_of(project)
    assert [run.info.run_id for run in parents] == [result["mlflow_run"]]
    assert sorted(run.data.tags["braid.part"] for run in nested) == sorted(FITS)


def test_no_half_written_file_is_left_where_it_could_be_read(
    killed: tuple[Project, dict[str, Any], list[Items]],
) -> None:
    project, _, _ = killed
    visible = [
        path
        for path in Path(project.workspace / "cache").rglob("*")
        if path.is_file() and path.name[0] != "."
    ]
    assert visible
    assert not [path for path in visible if path.suffix in {".tmp", ".damaged"}]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_run_is_killed_in_mlflow_and_gone_on_with(
    tmp_path: Path, undisturbed: Project, api: str, number: signal.Signals
) -> None:
    project = make_project(tmp_path, **QUICK)
    assert signal_at(project, "fit-fusion", number) == 130
    (parent,), _ = runs_of(project)
    assert parent.info.status == "KILLED"
    result = replace(project, api=api).run()
    (parent,), nested = runs_of(project)
    assert (parent.info.run_id, parent.info.status) == (result["mlflow_run"], "FINISHED")
    assert len(nested) == len(FITS)
    assert compared(undisturbed, project) == []
