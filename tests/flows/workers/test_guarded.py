"""A flow run loads braid's own flows, whatever a deployment says: to the API it is data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.flow_engine import load_flow, load_flow_run

from flows.prefect_internals.runs import load_only
from flows.servers.local import configured_as
from flows.workers.guarded import ENTRYPOINTS
from tests.forks import at_once
from tests.prefect_api import signed_in

pytestmark = pytest.mark.e2e


def loaded(together: Callable[[], object], api: str, run: str) -> str:
    """Name of the flow that a run gets, or the error."""
    load_only(ENTRYPOINTS)
    with configured_as(api):
        try:
            return load_flow(load_flow_run(run)).name  # type: ignore[arg-type]
        except PermissionError as error:
            return str(error)


def run_of(client: httpx.Client, **deployment: Any) -> str:
    """A run of a deployment that somebody has posted; its id."""
    flow = client.post("/flows/", json={"name": "retrain"}).raise_for_status().json()["id"]
    values = {"name": "posted", "flow_id": flow, "entrypoint": "flows.retrain.retrain", **deployment}
    made = client.post("/deployments/", json=values).raise_for_status().json()["id"]
    return str(client.post(f"/deployments/{made}/create_flow_run", json={}).raise_for_status().json()["id"])


def test_pull_steps_and_other_code_are_refused(api: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "other.py").write_text(f"open({str(marker)!r}, 'w')\n")
    shell = {"prefect.deployments.steps.run_shell_script": {"script": f"touch {marker}"}}
    posted: list[dict[str, Any]] = [
        {},
        {"pull_steps": [shell]},
        {"entrypoint": f"{tmp_path}/other.py:retrain"},
        {"entrypoint": "other.py:retrain", "path": str(tmp_path)},
        {"entrypoint": "os.system"},
        {"entrypoint": None},
    ]
    answers = []
    with signed_in(api) as client:
        for changes in posted:
            answers += at_once(loaded, [[api, run_of(client, **changes)]])
        (made,) = client.post(
            "/deployments/filter", json={"deployments": {"name": {"any_": ["posted"]}}}
        ).json()
        client.delete(f"/deployments/{made['id']}").raise_for_status()
    own, *others = answers
    assert own == "retrain"
    assert not marker.exists()
    assert ["was changed by another than braid" in answer for answer in others] == [True] * len(others), (
        others
    )
