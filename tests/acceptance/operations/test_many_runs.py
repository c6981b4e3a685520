"""Eight runs, four at a time, on SQLite and on PostgreSQL: all complete, and the server answers meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.e2e.project import make_project
from tests.acceptance.faults.kills import QUICK
from tests.acceptance.infra.cluster import ADMIN, PASSWORD, cluster
from tests.acceptance.operations.conftest import FINAL, Up, running, write_operations

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
RUNS, AT_ONCE = 8, 4
LONGEST = 2.0  # seconds that an answer may take


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def busy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Up]:
    project = make_project(tmp_path, **QUICK)
    write_operations(project, runs=AT_ONCE, retrain={"files": ["tiny.yaml"], "limit": AT_ONCE})
    if request.param == "SQLite":
        with running(project) as up:
            yield up
        return
    with cluster() as made:
        url = f"postgresql://{ADMIN}:${{PGPASSWORD}}@127.0.0.1:{made.port}/postgres"
        with running(project, BRAID_DATABASE=url, PGPASSWORD=PASSWORD.replace(" ", "%20")) as up:
            yield up
        assert made.rows("postgres", "SELECT count(*) FROM flow_run") == [(RUNS,)]


def test_many_runs_at_once_complete_and_nobody_waits_for_the_server(busy: Up) -> None:
    runs = [busy.trigger("retrain", changes={"seed": seed, "epochs": 3}) for seed in range(RUNS)]
    deadline, longest, at_work = time.monotonic() + 900, 0.0, set(runs)
    while at_work and time.monotonic() < deadline:
        for run in sorted(at_work):
            asked = time.monotonic()
            if busy.state(run)["type"] in FINAL:
                at_work.remove(run)
            longest = max(longest, time.monotonic() - asked)
        time.sleep(0.5)
    states = [busy.state(run) for run in runs]
    assert not [state["message"] for state in states if state["type"] != "COMPLETED"]
    assert longest < LONGEST
