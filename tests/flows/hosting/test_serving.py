"""The process that serves deployments: what it makes anew, and how little it imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from components.config.operations import Operations
from components.storage.atomic import write_json
from flows.hosting.serving import asked_digest, made_before
from flows.servers.local import configured_as
from tests.prefect_api import signed_in

HEAVY = {"torch", "mlflow", "pandas", "pyarrow", "sklearn", "scipy", "matplotlib", "flows.retrain"}


@pytest.mark.parametrize("module", ["flows.hosting.up", "flows.hosting.serving"])
def test_what_stays_for_months_imports_no_flow(module: str) -> None:
    script = f"import {module}, sys; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert module in modules.split()
    assert not HEAVY & set(modules.split())


@pytest.fixture
def made(api: str) -> Iterator[dict[str, str]]:
    """Ids of two deployments, by name."""
    with signed_in(api) as client:
        flow = client.post("/flows/", json={"name": "of-this-test"}).raise_for_status().json()["id"]
        ids = {}
        for name in ("first", "second"):
            new = client.post("/deployments/", json={"name": name, "flow_id": flow})
            ids[name] = new.raise_for_status().json()["id"]
        yield ids
        client.delete(f"/flows/{flow}")


def test_deployments_of_last_time_are_served_again(api: str, made: dict[str, str], tmp_path: Path) -> None:
    record = tmp_path / "deployments.json"
    with configured_as(api):
        assert made_before(record, "same") is None
        write_json(record, {"digest": "same", "ids": made})
        assert made_before(record, "same") == made
        assert made_before(record, "other") is None
        gone(api, made["second"])
        assert made_before(record, "same") is None, "one was deleted in the dashboard"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": "same"}', '{"digest": "same", "ids": 3}'])
def test_a_damaged_record_makes_them_anew(text: str, tmp_path: Path) -> None:
    record = tmp_path / "deployments.json"
    record.write_text(text)
    assert made_before(record, "same") is None


def test_the_digest_tells_what_is_asked_for(tmp_path: Path) -> None:
    arguments = ["operations.yaml", str(tmp_path), "mlflow.yaml"]
    default = asked_digest(Operations(), arguments)
    assert default == asked_digest(Operations(), arguments)
    assert default != asked_digest(Operations(runs=3), arguments)
    assert default != asked_digest(Operations(), [*arguments[:1], str(uuid4()), *arguments[2:]])


def gone(api: str, deployment: str) -> None:
    with signed_in(api) as client:
        response: httpx.Response = client.delete(f"/deployments/{deployment}")
        response.raise_for_status()
