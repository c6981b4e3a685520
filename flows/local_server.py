"""A Prefect API for one command, where no server is configured.

It listens on 127.0.0.1, keeps its database in the workspace, and ends with the process that
started it, however that ends.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from prefect.context import refresh_global_settings_context
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from components.errors import BraidError

_START_SECONDS = 180
_started: set[str] = set()  # addresses of servers that end with this process


@contextmanager
def prefect_api(workspace: Path) -> Iterator[str]:
    """The address of the configured Prefect server, or of one that is started for this block."""
    configured = get_current_settings().api.url
    if configured:
        yield configured
        return
    workspace.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    address = f"http://127.0.0.1:{port}/api"
    log = workspace / "prefect-server.log"
    with log.open("ab") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.local_server", str(port), str(os.getpid())],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C ends the command first, which still has to tell its API
            env={
                **os.environ,
                "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{workspace / 'prefect.db'}",
                "PREFECT_UI_ENABLED": "0",
                "PREFECT__SERVER_EPHEMERAL": "1",  # no schedulers: nothing outlives the command
            },
        )
    try:
        _wait_until_healthy(address, server, log)
        with _configured(address):
            yield address
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def has_pages() -> bool:
    """Whether the API in use belongs to a dashboard that can be looked at, also after this command."""
    return get_current_settings().api.url not in _started


@contextmanager
def _configured(address: str) -> Iterator[None]:
    """Point this process, its threads and its children at an API; send what is queued for it at the end."""
    os.environ["PREFECT_API_URL"] = address
    _started.add(address)
    refresh_global_settings_context()
    try:
        with temporary_settings({PREFECT_API_URL: address}):
            yield
    finally:
        APILogHandler().flush()
        EventsWorker.drain_all(timeout=10)
        del os.environ["PREFECT_API_URL"]
        refresh_global_settings_context()


def _wait_until_healthy(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with httpx.Client(timeout=5, verify=False) as client:  # plain HTTP: certificates need not be read
        while time.monotonic() < deadline and server.poll() is None:
            try:
                if client.get(f"{address}/health").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
    raise BraidError(f"Prefect's server did not start within {_START_SECONDS} s; its output is in {log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _serve(port: int, parent: int) -> None:
    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    uvicorn.run(
        "prefect.server.api.server:create_app", factory=True, host="127.0.0.1", port=port, log_level="error"
    )


if __name__ == "__main__":
    _serve(port=int(sys.argv[1]), parent=int(sys.argv[2]))
