"""Deployments: each flow with form, schedules and limit, served by ``braid up`` or run by work pools.

``python -m flows.hosting.deployments OPERATIONS WORKSPACE TRACKING_FILE DIGEST`` makes those that
``braid up`` serves, and records their ids with the digest of what they were made of. It is a process of its
own since forms need the flows, and these everything.
"""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.utilities.annotations import freeze

from components.config.operations import (
    DeploymentConfig,
    FileDeploymentConfig,
    Operations,
    RetrainSchedule,
    Schedule,
    load_operations,
)
from components.errors import BraidError
from components.runtime.slots import SLOTS
from components.storage.atomic import write_json
from flows.distill import distill
from flows.hosting.automations import TAG, ensure_automations
from flows.hosting.schedules import schedules_of
from flows.hosting.serving import MADE
from flows.monitor import monitor
from flows.prefect_internals.runs import offer_choices
from flows.process_settings import configure_process
from flows.retrain import retrain
from flows.score import score
from flows.servers.local import wait_for_api
from flows.sweep import sweep

HEAVY = {"retrain", "sweep", "distill"}
"""Flows that train: where there are GPUs, they go to the work pool that has them."""


@dataclass(frozen=True)
class Paths:
    """Paths that all runs of a workspace share: forms show them and let nobody change them."""

    workspace: Path
    tracking_file: Path

    @property
    def parameters(self) -> dict[str, Any]:
        return {"workspace": freeze(str(self.workspace)), "tracking_file": freeze(str(self.tracking_file))}


def deployments(operations: Operations, where: Path, paths: Paths) -> list[RunnerDeployment]:
    """Make the deployments that an operations file asks for.

    Args:
        operations: Contents of the operations file.
        where: That file, for messages.
        paths: Workspace and mlflow.yaml of all runs.

    Raises:
        ConfigError: If a schedule is not valid.
    """
    files: dict[Flow[..., Any], FileDeploymentConfig] = {
        retrain: operations.retrain,
        sweep: operations.sweep,
        distill: operations.distill,
    }
    tables: dict[Flow[..., Any], DeploymentConfig] = {score: operations.score, monitor: operations.monitor}
    return [
        *(_of_files(flow, settings, where, paths) for flow, settings in files.items() if settings.files),
        *(_deployment(flow, settings, where, paths.parameters) for flow, settings in tables.items()),
    ]


def _of_files(
    flow: Flow[..., Any], settings: FileDeploymentConfig, where: Path, paths: Paths
) -> RunnerDeployment:
    """Make the deployment of a flow whose form offers files."""
    names = [str(file) for file in settings.files]
    schedules = [
        schedule.model_copy(update={"parameters": _absolute(schedule.parameters, where) | _when(schedule)})
        for schedule in settings.schedules
    ]
    settings = settings.model_copy(update={"schedules": schedules})
    made = _deployment(flow, settings, where, {"config": names[0], **paths.parameters})
    offer_choices(made, "config", names)
    return made


def _absolute(parameters: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """Resolve the file among a schedule's parameters: it is relative to the operations file."""
    if "config" not in parameters:
        return dict(parameters)
    return {**parameters, "config": str((where.parent / str(parameters["config"])).resolve())}


def _when(schedule: Schedule) -> dict[str, Any]:
    """Give the conditions of a schedule as a parameter of its runs."""
    if not isinstance(schedule, RetrainSchedule) or schedule.when.is_empty:
        return {}
    return {"when": schedule.when.model_dump(exclude_none=True)}


def _deployment(
    flow: Flow[..., Any], settings: DeploymentConfig, where: Path, parameters: dict[str, Any]
) -> RunnerDeployment:
    made = flow.to_deployment(
        flow.name,
        schedules=schedules_of(flow.name, settings, where),
        concurrency_limit=ConcurrencyLimitConfig(
            limit=settings.limit,
            collision_strategy=ConcurrencyLimitStrategy(settings.collision.upper()),
        ),
        parameters=parameters,
        tags=[TAG],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert isinstance(made, RunnerDeployment)  # and not a coroutine, as its type would allow
    return made


async def _as_toggled(deployment: RunnerDeployment) -> RunnerDeployment:
    """Pause or activate the schedules of a deployment as somebody set them in the dashboard."""
    async with get_client() as client:
        try:
            known = await client.read_deployment_by_name(f"{deployment.flow_name}/{deployment.name}")
        except ObjectNotFound:
            return deployment
    active = {schedule.slug: schedule.active for schedule in known.schedules}
    for schedule in deployment.schedules or []:
        schedule.active = active.get(schedule.slug, schedule.active)
    return deployment


def deploy(file: Path, paths: Paths, light: str, heavy: str) -> dict[str, str]:
    """Deploy the flows of an operations file to work pools, whose workers have braid installed.

    Deployments and automations become what the file asks for. Schedules stay paused or active as somebody set
    them in the dashboard.

    Args:
        file: Operations file. It and the files that it names have the same paths on the workers.
        paths: Workspace and mlflow.yaml, as paths on the workers.
        light: Work pool of flows that do not train.
        heavy: Work pool of flows that train.

    Returns:
        The work pool of each deployment.

    Raises:
        ConfigError: If a file is not valid.
        BraidError: If there is no such work pool.
    """
    operations = load_operations(file)
    made = deployments(operations, file, paths)
    for each in made:
        each.work_pool_name = heavy if each.name in HEAVY else light
        each.job_variables = {
            "env": {
                "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(operations.heartbeat),
                SLOTS: str(operations.gpu_slots),
            }
        }
    asyncio.run(_deploy(operations, made))
    return {each.name: str(each.work_pool_name) for each in made}


async def _deploy(operations: Operations, made: list[RunnerDeployment]) -> None:
    async with get_client() as client:
        pools = {pool.name for pool in await client.read_work_pools()}
    if missing := sorted({str(each.work_pool_name) for each in made} - pools):
        raise BraidError(
            f"there is no work pool {missing[0]!r}; there are: {', '.join(sorted(pools)) or 'none'}. "
            "infra/work-pools/create.py makes those that braid comes with"
        )
    await ensure_automations(operations, await _applied(made))


async def _applied(made: list[RunnerDeployment]) -> dict[str, UUID]:
    """Make the deployments.

    Those of an earlier file that this one lacks are deleted: no process would run their flow runs.
    """
    ids = {each.name: await (await _as_toggled(each)).aapply() for each in made}
    async with get_client() as client:
        for name in HEAVY - set(ids):
            with suppress(ObjectNotFound):
                gone = await client.read_deployment_by_name(f"{name}/{name}")
                await client.delete_deployment(gone.id)
    return ids


def main() -> None:
    """Make the deployments of ``braid up``, with the variables that it sets."""
    configure_process()
    file, workspace, tracking_file = map(Path, sys.argv[1:4])
    made = deployments(load_operations(file), file, Paths(workspace, tracking_file))
    wait_for_api()
    ids = {name: str(number) for name, number in asyncio.run(_applied(made)).items()}
    write_json(workspace / MADE, {"digest": sys.argv[4], "ids": ids})


if __name__ == "__main__":
    main()
