"""One cold run, and a copy of it for each file of tests."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.acceptance.e2e.project import THOROUGH, Project, make_project


@pytest.fixture(scope="session")
def cold(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, Any]]:
    """A project and the result of its first ``braid run``, by a user who has set nothing; not to be changed.

    It is the one whole process of the tests that share it.
    """
    project = make_project(tmp_path_factory.mktemp("tiny"), evaluation=THOROUGH, audit={})
    return project, project.run_alone()


@pytest.fixture(scope="session")
def first_run(cold: tuple[Project, dict[str, Any]]) -> dict[str, Any]:
    """The result of the first ``braid run``."""
    return cold[1]


@pytest.fixture(scope="module")
def project(
    cold: tuple[Project, dict[str, Any]], api: str, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """The project after its first run, copied for the tests of one file, which may change it."""
    folder = tmp_path_factory.mktemp("warm") / "tiny"
    shutil.copytree(cold[0].folder, folder)
    return Project(folder, api)
