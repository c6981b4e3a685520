"""Process that serves the deployments of ``braid up`` and runs their flows, each in a process of its own.

``python -m flows.hosting.serving OPERATIONS WORKSPACE TRACKING_FILE``. It stays for months and imports no
flow: the deployments are made by a process that ends, and only where they are not those of last time.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import psutil
from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.runner import Runner

import components.config
import flows
from components.config.operations import Operations, load_operations
from components.errors import BraidError
from flows.hosting.automations import ensure_automations
from flows.prefect_internals.runs import load_only, start_runs_by
from flows.process_settings import configure_process
from flows.run.lost import end_served_runs
from flows.servers import tethered
from flows.servers.local import wait_for_api
from flows.workers.guarded import ENTRYPOINTS

READY = "deployments-ready"
"""File in the workspace that is written once everything is served."""
MADE = "deployments.json"
"""File in the workspace with the ids of the deployments, and the digest of what they were made of."""
_PATIENCE = 20.0  # seconds for runs to end in


@dataclass(frozen=True)
class Made:
    """A deployment that was made, as far as a runner asks.

    Attributes:
        name: Name of the deployment.
        id: Id in Prefect.
        storage: None, as its flow is installed.
    """

    name: str
    id: UUID
    storage: None = None

    async def aapply(self) -> UUID:
        """Return its id."""
        return self.id


class _Runner(Runner):
    """A runner that ends its runs before itself, so that each tells Prefect and MLflow that it was ended."""

    def handle_sigterm(self, *arguments: Any, **named: Any) -> None:
        runs = psutil.Process().children()
        for run in runs:
            run.terminate()
        psutil.wait_procs(runs, timeout=_PATIENCE)
        super().handle_sigterm(*arguments, **named)


def serve(file: Path, workspace: Path, tracking_file: Path) -> None:
    """Serve the deployments of an operations file, until interrupted.

    Args:
        file: Operations file.
        workspace: Folder of the runs.
        tracking_file: mlflow.yaml.

    Raises:
        BraidError: If the deployments cannot be made.
    """
    operations = load_operations(file)
    arguments = [str(path) for path in (file, workspace, tracking_file)]
    digest, record = asked_digest(operations, arguments), workspace / MADE
    ids = made_before(record, digest) or _make([*arguments, digest], record)
    end_served_runs(workspace)
    start_runs_by(tethered.command("flows.workers.guarded", "prefect.engine"))
    made = [Made(name, UUID(number)) for name, number in ids.items()]
    asyncio.run(_serve(operations, made, workspace / READY))


def made_before(record: Path, digest: str) -> dict[str, str] | None:
    """Return the ids of the deployments by name; None where others are asked for, or one is gone."""
    try:
        known = json.loads(record.read_text("utf-8"))
        ids = dict(known["ids"]) if known["digest"] == digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if ids is None:
        return None
    wait_for_api()
    with get_client(sync_client=True) as client:
        try:
            for number in ids.values():
                client.read_deployment(UUID(number))
        except (ObjectNotFound, ValueError):
            return None
    return ids


def asked_digest(operations: Operations, arguments: list[str]) -> str:
    """Digest what decides about the deployments: what is asked for, the flows, their forms, and Prefect."""
    versions = [version("prefect"), version("pydantic")]
    asked = json.dumps([operations.model_dump(mode="json"), arguments, versions])
    digest = blake2b(asked.encode(), digest_size=16)
    for each in _sources():
        digest.update(each.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    for package in (flows, components.config):
        for folder in package.__path__:
            yield from sorted(Path(folder).rglob("*.py"))


def _make(arguments: list[str], record: Path) -> dict[str, str]:
    """Make the deployments in a process that imports the flows, and return their ids by name."""
    if subprocess.run(tethered.command("flows.hosting.deployments", *arguments)).returncode:
        raise BraidError("the deployments could not be made")  # the process has written why
    return cast(dict[str, str], json.loads(record.read_text("utf-8"))["ids"])


async def _serve(operations: Operations, made: list[Made], ready: Path) -> None:
    runner = _Runner(
        name="braid",
        query_seconds=2,
        heartbeat_seconds=operations.heartbeat,
        limit=operations.runs,
        pause_on_shutdown=False,  # so that the next `braid up` resumes the schedules
    )
    ids = {each.name: await runner.aadd_deployment(cast(RunnerDeployment, each)) for each in made}
    await ensure_automations(operations, ids)
    ready.write_text("\n".join(ids))
    await runner.start()


def main() -> None:
    """Serve in the process that ``braid up`` starts, with the variables that it sets."""
    configure_process()
    load_only(ENTRYPOINTS)
    try:
        serve(*map(Path, sys.argv[1:4]))
    except BraidError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
