"""Prefect's and MLflow's servers as processes of ours: on 127.0.0.1, with their data in the workspace."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from components.config import TrackingConfig
from components.errors import BraidError
from components.storage.private import keep_database_private, keep_private
from components.storage.sqlite_url import sqlite_url
from flows.prefect_internals.server import EPHEMERAL
from flows.servers import tethered
from flows.servers.doors import ADDRESSES, hosts_of, own_addresses
from flows.servers.password import kept_password, new_password

_START_SECONDS = 180
_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Server:
    """A server that was started.

    Attributes:
        name: Name in messages.
        address: Address of its API.
        process: Process that it runs in.
        log: File with its output.
        password: What its clients have to give, as ``user:password``; None if it asks for none.
    """

    name: str
    address: str
    process: subprocess.Popen[bytes]
    log: Path
    password: str | None = None

    def wait(self) -> None:
        """Wait until it responds.

        Raises:
            BraidError: If it ends, or does not respond in time; names its output.
        """
        _wait_until_healthy(self.name, self.address, self.process, self.log)

    def ending(self) -> str | None:
        """Say how the process ended and what it wrote last; None while it runs."""
        return ending(self.name, self.process, self.log)


def ending(name: str, process: subprocess.Popen[bytes], log: Path) -> str | None:
    """Say how a process ended and what it wrote last; None while it runs."""
    code = process.poll()
    if code is None:
        return None
    how = f"ended with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
    if code == -signal.SIGKILL:
        how += " (by hand, or by the system as memory ran out)"
    last = log.read_text("utf-8", "replace").strip().rpartition("\n")[2]
    return f"{name} {how}; its output is in {log}" + (f", last: {last}" if last else "")


@contextmanager
def prefect_server(
    workspace: Path,
    port: int,
    ephemeral: bool,
    wait: bool = True,
    database: str | None = None,
) -> Iterator[Server]:
    """Run Prefect's server, until the block ends.

    Args:
        workspace: Absolute path of the folder.
        port: Port to listen on.
        ephemeral: True for one command: no schedulers and no pages.
        wait: Whether to wait until it responds, which takes seconds.
        database: URL of its database; by default ``prefect.db`` of the workspace.
    """
    address = f"http://{_HOST}:{port}/api"
    own = ",".join(own_addresses(port, os.environ.get("PREFECT_UI_URL")))
    password = new_password() if ephemeral else kept_password(workspace)
    own_database = workspace / "prefect.db"
    if database is None:
        keep_private(own_database)
    environment = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database or sqlite_url(own_database, "aiosqlite"),
        "PREFECT_UI_ENABLED": "0" if ephemeral else "1",
        "PREFECT_UI_API_URL": "/api",  # of whatever address the page is opened at
        "PREFECT_API_URL": address,
        "PREFECT_API_AUTH_STRING": password,
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "1",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": own,
        ADDRESSES: own,
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",  # a service that fails says so nowhere else
        # Each flush of events waits for a lock for a second at most, and after five it would drop them.
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_MAX_FLUSH_RETRIES": "60",
    }
    if ephemeral:
        environment[EPHEMERAL] = "1"
        # Its runs use no blocks. To register the kinds of them is to import every integration of Prefect.
        environment["PREFECT_SERVER_REGISTER_BLOCKS_ON_START"] = "0"
        environment["PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION"] = "0"
    arguments = ["--factory", "flows.servers.application:create_app"]
    arguments += ["--host", _HOST, "--port", str(port), "--log-level", "error"]
    log = workspace / "prefect-server.log"
    with _running("Prefect's server", "uvicorn", arguments, log, environment, address, wait) as server:
        yield replace(server, password=password)


@contextmanager
def mlflow_server(workspace: Path, at: TrackingConfig, port: int, wait: bool = True) -> Iterator[Server]:
    """Run MLflow's server on the database of ``at``: tracking, registry, and a proxy for artifacts.

    Args:
        workspace: Absolute path of the folder.
        at: Settings with a database as tracking URI.
        port: Port to listen on.
        wait: Whether to wait until it responds, which takes seconds.
    """
    address = f"http://{_HOST}:{port}"
    for uri in filter(None, (at.tracking_uri, at.registry_uri)):
        keep_database_private(uri)
    arguments = ["--workers", "1", "--host", _HOST, "--port", str(port), *mlflow_doors(port)]
    arguments += ["--backend-store-uri", str(at.tracking_uri), "--serve-artifacts"]
    arguments += ["--artifacts-destination", at.artifact_location or (workspace / "mlartifacts").as_uri()]
    if at.registry_uri:
        arguments += ["--registry-store-uri", at.registry_uri]
    log = workspace / "mlflow-server.log"
    module = "flows.servers.mlflow_process"
    with _running("MLflow's server", module, arguments, log, {}, address, wait) as server:
        yield server


def mlflow_doors(port: int) -> list[str]:
    """Return the arguments with which MLflow's server answers only its own hosts and origins."""
    own = own_addresses(port, os.environ.get("BRAID_MLFLOW_PAGE_URL"))
    return ["--allowed-hosts", ",".join(hosts_of(own)), "--cors-allowed-origins", ",".join(own)]


def port_near(wanted: int) -> int:
    """Return the first free port on 127.0.0.1 from ``wanted`` upwards; any free one if that is 0."""
    for port in range(wanted, min(wanted + 100, 65536)) if wanted else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one in TIME_WAIT is free
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise BraidError(f"no port from {wanted} to {wanted + 99} is free on {_HOST}; name another")


@contextmanager
def _running(
    name: str,
    module: str,
    arguments: list[str],
    log: Path,
    environment: dict[str, str],
    address: str,
    wait: bool,
) -> Iterator[Server]:
    process = tethered.start(module, arguments, log, environment)
    try:
        server = Server(name, address, process, log)
        if wait:
            server.wait()
        yield server
    finally:
        tethered.end(process)


def _wait_until_healthy(name: str, address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with httpx.Client(timeout=5, verify=False, trust_env=False) as client:  # plain HTTP, on this machine
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get(f"{address}/health").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
    did_not_start = f"{name} did not start in {_START_SECONDS} s; its output is in {log}"
    raise BraidError(ending(name, process, log) or did_not_start)
