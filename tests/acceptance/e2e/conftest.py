"""One cold run for all processes of the tests, and a copy of it for each file of tests."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from filelock import FileLock

from tests.acceptance.e2e.project import PIPELINE, THOROUGH, Project, copy_project, make_project


@pytest.fixture(scope="session")
def cold(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, Any]]:
    """A project and the result of its first ``braid run``, by a user who has set nothing; not to be changed.

    It is the one whole process of the tests that share it. The first that needs it makes it, others wait.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    project, result = Project(shared / "tiny"), shared / "tiny.json"
    with FileLock(shared / "tiny.lock"):
        if not result.exists():
            training = {**PIPELINE["training"], "folds": 2}
            make_project(project.folder, evaluation=THOROUGH, audit={}, training=training)
            result.write_text(json.dumps(project.run_alone()), "utf-8")
    return project, json.loads(result.read_text("utf-8"))


@pytest.fixture(scope="session")
def first_run(cold: tuple[Project, dict[str, Any]]) -> dict[str, Any]:
    """The result of the first ``braid run``."""
    return cold[1]


@pytest.fixture(scope="module")
def project(
    cold: tuple[Project, dict[str, Any]], api: str, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """The project after its first run, copied for the tests of one file, which may change it."""
    return copy_project(cold[0], tmp_path_factory.mktemp("warm") / "tiny", api)
