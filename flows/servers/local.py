"""API of Prefect for one command, where no server is configured.

It listens on 127.0.0.1, has its database in the workspace, and ends with the process that
started it, however that ends. Where ``braid up`` serves the workspace, its server is used.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from prefect.client.orchestration import get_client
from prefect.context import refresh_global_settings_context, root_settings_context
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    get_current_settings,
    temporary_settings,
)

from components.errors import ServiceError
from components.redaction import without_login
from components.runtime.environ import variables
from components.runtime.services import running_services
from components.runtime.slots import SLOTS
from flows.servers.password import stored_password
from flows.servers.processes import port_near, prefect_server

_PAUSES = (0.0, 1.0, 2.0)  # seconds before each try
_started: set[str] = set()  # addresses of servers that end with this process


@contextmanager
def prefect_api(workspace: Path, meanwhile: Callable[[], object] = lambda: None) -> Iterator[str]:
    """Yield the address of the configured Prefect server, of that of ``braid up``, or of one for this block.

    Args:
        workspace: Workspace of the command.
        meanwhile: Called while a server starts, which takes seconds; at once where a server runs already.
    """
    configured = configured_api()
    running = running_services(workspace)
    if configured:
        meanwhile()
        yield configured
    elif running is not None:
        meanwhile()
        with (
            configured_as(running.prefect_api, stored_password(workspace)),
            variables({SLOTS: str(running.gpu_slots)}),
        ):
            yield running.prefect_api
    else:
        workspace.mkdir(parents=True, exist_ok=True)
        with (
            prefect_server(workspace, port_near(0), ephemeral=True, wait=False) as server,
            configured_as(server.address, server.password),
        ):
            meanwhile()
            server.wait()
            _started.add(server.address)
            yield server.address


def configured_api() -> str | None:
    """Return the address of the Prefect server that the settings name; None if they name none.

    Raises:
        ServiceError: If it does not respond; names the address and the place of the setting.
    """
    address = get_current_settings().api.url
    if not address:
        return None
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            httpx.get(f"{address.rstrip('/')}/health", timeout=10, verify=False)  # any status will do
            return address
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = f"{type(error).__name__}: {error}".removesuffix(": ")
    raise ServiceError(
        f"Prefect's API does not answer at {without_login(address)} ({reason}), which {_origin()} names. "
        "Start that server, or remove the setting: then braid starts a server of its own"
    )


def wait_for_api() -> None:
    """Wait until the server that the settings name responds; who started it looks whether it ends."""
    with get_client(sync_client=True) as client:
        while client.api_healthcheck() is not None:
            time.sleep(0.1)


def _origin() -> str:
    """Name the place of the setting of the API's address."""
    if os.environ.get("PREFECT_API_URL"):
        return "the environment variable PREFECT_API_URL"
    profile = root_settings_context().profile
    if PREFECT_API_URL in profile.settings:
        return f"the profile {profile.name!r} in {profile.source}"
    return "a file prefect.toml, pyproject.toml or .env of the working directory"


def has_pages() -> bool:
    """Return whether the API in use belongs to a dashboard that outlives this command."""
    return get_current_settings().api.url not in _started


@contextmanager
def configured_as(address: str, password: str | None = None) -> Iterator[None]:
    """Point this process, its threads and its children at an API; send what is queued for it at the end.

    Args:
        address: Address of the API.
        password: ``user:password`` for it; None leaves what the environment gives.
    """
    settings = {PREFECT_API_URL: address}
    if password is not None:
        settings[PREFECT_API_AUTH_STRING] = password
    try:
        with variables({setting.name: value for setting, value in settings.items()}):
            refresh_global_settings_context()
            try:
                with temporary_settings(settings):
                    yield
            finally:
                APILogHandler().flush()
                EventsWorker.drain_all(timeout=10)
    finally:
        refresh_global_settings_context()
