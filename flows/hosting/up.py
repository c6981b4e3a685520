"""``braid up``: Prefect's server, MLflow's server and the deployments, on one machine, until interrupted."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from components.config import ConfigError, load_tracking
from components.config.operations import load_operations
from components.errors import BraidError
from components.runtime.environ import filled
from components.runtime.services import LOCK, last_services, remember, running_services
from components.runtime.slots import SLOTS
from components.storage.writable import require_writable
from flows.hosting.schedules import check_schedules
from flows.hosting.serving import READY
from flows.prefect_internals.server import sign_in_address
from flows.run.lost import lost_runs
from flows.servers import tethered
from flows.servers.local import configured_api, configured_as
from flows.servers.processes import Server, mlflow_server, port_near, prefect_server

_START_SECONDS = 180
_POSTGRESQL = "postgresql+asyncpg"
_LOST_SECONDS = 15.0  # between two looks for runs whose process is gone


def up(
    file: Path,
    workspace: Path,
    tracking_file: Path,
    show: Callable[[str], None],
    database: str | None = None,
) -> None:
    """Serve a workspace until it is interrupted.

    A server that the environment (``PREFECT_API_URL``) or mlflow.yaml names is used and not started.

    Args:
        file: Operations file.
        workspace: Folder with everything that a restart needs.
        tracking_file: mlflow.yaml.
        show: Prints a line on the terminal.
        database: URL of a PostgreSQL database for Prefect's server; None takes SQLite in the workspace.

    Raises:
        ConfigError: If a file is not valid.
        BraidError: If the workspace is served already, a server does not start, or one ends by itself.
    """
    operations = load_operations(file)
    check_schedules(operations, file)  # before anything starts
    url = None if database is None else _postgresql(filled(database, "--database"))
    require_writable(workspace)
    with _alone(workspace), ExitStack() as stack:
        before = last_services(workspace)
        servers: list[Server] = []
        api, password = configured_api(), None
        if not api:
            port = _port(operations.prefect_port, before.prefect_api if before else None)
            prefect = prefect_server(workspace, port, ephemeral=False, wait=False, database=url)
            servers.append(stack.enter_context(prefect))
            api, password = servers[-1].address, servers[-1].password
        at = load_tracking(tracking_file, workspace)
        mlflow = str(at.tracking_uri)
        if not mlflow.startswith("http"):
            port = _port(operations.mlflow_port, before.mlflow if before else None)
            servers.append(stack.enter_context(mlflow_server(workspace, at, port, wait=False)))
            mlflow = servers[-1].address
        stack.enter_context(configured_as(api, password))
        arguments = [str(path.resolve()) for path in (file, workspace, tracking_file)]
        runner = stack.enter_context(_deployments(arguments, workspace, api, operations.gpu_slots))
        for server in servers:
            server.wait()
        serving = remember(workspace, api, mlflow, os.getpid(), operations.gpu_slots)
        _wait(runner, workspace / READY)
        page = os.environ.get("PREFECT_UI_URL", serving.dashboard)
        show(f"Prefect  {sign_in_address(page, password) if password else page}")
        show(f"MLflow   {serving.mlflow}")
        show(f"Serving  {', '.join((workspace / READY).read_text().split())}  (Ctrl-C ends all)")
        watch = _Watch(workspace, arguments[1:])
        while True:
            watch()
            looked = time.monotonic()
            while time.monotonic() - looked < _LOST_SECONDS:
                for server in [*servers, runner]:
                    if how := server.ending():
                        raise BraidError(how)
                time.sleep(0.5)


class _Watch:
    """Ends runs whose process is gone, by a process that ends too: MLflow's client takes much memory.

    Args:
        workspace: The workspace.
        arguments: Workspace and mlflow.yaml.
    """

    def __init__(self, workspace: Path, arguments: list[str]) -> None:
        self.workspace, self.arguments = workspace, arguments
        self._ended: frozenset[str] = frozenset()
        self._asked: frozenset[str] = frozenset()
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> None:
        """Look, and start such a process where runs are new."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            if code == 0:  # else a service is gone, as whoever needs it says: this tries again
                self._ended = self._asked
            self._process = None
        lost = lost_runs(self.workspace)
        if lost - self._ended:
            self._asked = lost
            log = self.workspace / "lost-runs.log"
            self._process = tethered.start("flows.run.end_lost", self.arguments, log, {})


def _postgresql(url: str) -> str:
    """Name the driver that Prefect's server uses in the URL of a PostgreSQL database."""
    scheme, separator, rest = url.partition("://")
    if scheme not in ("postgres", "postgresql", _POSTGRESQL) or not separator:
        raise ConfigError(f"--database: expected postgresql://USER:PASSWORD@HOST/NAME, found {url}")
    return f"{_POSTGRESQL}://{rest}"


@contextmanager
def _alone(workspace: Path) -> Iterator[None]:
    """Hold the workspace's lock.

    Raises:
        BraidError: If another ``braid up`` holds it; names its addresses.
    """
    lock = FileLock(workspace / LOCK)
    try:
        lock.acquire(timeout=1)  # another command may be looking whether it is held
    except Timeout:
        running = running_services(workspace)
        where = f": {running.dashboard} and {running.mlflow}" if running else ""
        raise BraidError(f"braid up serves {workspace} already{where}") from None
    try:
        yield
    finally:
        lock.release()


def _port(wanted: int, before: str | None) -> int:
    """Choose the port of last time if it is free, so that bookmarks hold; else one near the wanted one."""
    last = before.removesuffix("/api").rpartition(":")[2] if before else ""
    if last.isdigit() and int(last) and port_near(int(last)) == int(last):
        return int(last)
    return port_near(wanted)


@contextmanager
def _deployments(arguments: list[str], workspace: Path, api: str, gpu_slots: int) -> Iterator[Server]:
    """Start the process that serves the deployments and runs their flows."""
    log = workspace / "deployments.log"
    (workspace / READY).unlink(missing_ok=True)
    environment = {
        SLOTS: str(gpu_slots),
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    }
    process = tethered.start("flows.hosting.serving", arguments, log, environment)
    try:
        yield Server("the process that serves the deployments", api, process, log)
    finally:
        tethered.end(process, patience=60)


def _wait(server: Server, ready: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready.exists():
        if how := server.ending():
            raise BraidError(f"the deployments could not be served: {how}")
        if time.monotonic() > deadline:
            raise BraidError(
                f"{server.name} was not ready in {_START_SECONDS} s; its output is in {server.log}"
            )
        time.sleep(0.1)
