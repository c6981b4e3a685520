"""The tiny project of the e2e tests, and a run of it that nothing disturbs."""

from __future__ import annotations

import pytest

from tests.acceptance.e2e.project import Project, make_project
from tests.acceptance.faults.kills import QUICK
from tests.components.conftest import tiny, tiny_data

__all__ = ["tiny", "tiny_data", "undisturbed"]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, api: str) -> Project:
    """A project with one run that nothing has disturbed; not to be changed."""
    project = make_project(tmp_path_factory.mktemp("undisturbed"), api=api, **QUICK)
    project.run()
    return project
