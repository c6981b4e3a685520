"""Creation and update of the work pools and of MLflow's user for the workers.

    python create.py [process|kubernetes]

Work pools `cpu` and `gpu` get the base job template in the file of that name beside this one. Where
BRAID_HEAVY_POOL is `ray`, a pool of processes gets that name too. Safe to repeat.
PREFECT_API_URL and PREFECT_API_AUTH_STRING name Prefect, MLFLOW_TRACKING_URI names MLflow. The user
MLFLOW_TRACKING_USERNAME gets MLFLOW_TRACKING_PASSWORD, if MLFLOW_AUTH_ADMIN_PASSWORD is set.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

HERE = Path(__file__).parent
POOLS = {
    "cpu": "Checks, scoring, monitoring; training too where there is no GPU.",
    "gpu": "Training: retrain, sweep, distill.",
}
RAY = "ray"
"""Pool of the worker on a Ray cluster's head: a process of it is on the cluster, a job of its own is not."""


def create_pools(client: SyncPrefectClient, kind: str) -> None:
    """Create or update the work pools of a kind; a pool keeps its limit and its runs."""
    for name, description in POOLS.items():
        create_pool(client, name, description, kind, read_template(kind, name))
    if os.environ.get("BRAID_HEAVY_POOL") == RAY:
        create_pool(client, RAY, "Runs whose engine is ray.", "process", read_template("process", "cpu"))


def create_pool(
    client: SyncPrefectClient, name: str, description: str, kind: str, template: dict[str, Any]
) -> None:
    """Create one work pool, or update it."""
    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        new = WorkPoolCreate(name=name, description=description, type=kind, base_job_template=template)
        client.create_work_pool(new)
        print(f"work pool {name} created ({kind})")
        return
    if pool.type != kind:
        raise SystemExit(
            f"work pool {name}: exists with type {pool.type}, expected {kind}. Delete it "
            f"(prefect work-pool delete {name}) or give it as argument"
        )
    client.update_work_pool(name, WorkPoolUpdate(description=description, base_job_template=template))
    print(f"work pool {name} updated")


def read_template(kind: str, pool: str) -> dict[str, Any]:
    """Read the base job template of a pool; BRAID_CPU_IMAGE or BRAID_GPU_IMAGE names its image."""
    template: dict[str, Any] = json.loads((HERE / f"{kind}-{pool}.json").read_text("utf-8"))
    image = os.environ.get(f"BRAID_{pool.upper()}_IMAGE")
    if image and "image" in template["variables"]["properties"]:
        template["variables"]["properties"]["image"]["default"] = image
    return template


def create_user(server: str, admin_password: str, name: str, password: str) -> None:
    """Create MLflow's user, or set its password."""
    with httpx.Client(base_url=f"{server}/api/2.0/mlflow/users", auth=("admin", admin_password)) as client:
        login = {"username": name, "password": password}
        response = client.post("/create", json=login)
        if response.status_code == 400 and response.json().get("error_code") == "RESOURCE_ALREADY_EXISTS":
            response = client.patch("/update-password", json=login)
        if response.is_error:
            raise SystemExit(f"MLflow user {name}: {response.status_code} {response.text}")
    print(f"MLflow user {name} has its password")


def main(kind: str) -> None:
    with get_client(sync_client=True) as client:
        create_pools(client, kind)
    if admin := os.environ.get("MLFLOW_AUTH_ADMIN_PASSWORD"):
        user = os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]
        create_user(os.environ["MLFLOW_TRACKING_URI"].rstrip("/"), admin, *user)


if __name__ == "__main__":
    kinds = ("process", "kubernetes")
    given = sys.argv[1] if len(sys.argv) > 1 else "process"
    if given not in kinds:
        raise SystemExit(
            f"work pools: {given!r} is no kind of work pool that has templates here: {', '.join(kinds)}"
        )
    main(given)
