"""API of Prefect for one command, where no server is configured.

It listens on 127.0.0.1, has its database in the workspace, and ends with the process that
started it, however that ends. Where ``braid up`` serves the workspace, its server is used.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.context import refresh_global_settings_context
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from components.runtime.environ import variables
from components.runtime.services import running_services
from components.runtime.slots import SLOTS
from flows.servers.processes import port_near, prefect_server

_started: set[str] = set()  # addresses of servers that end with this process


@contextmanager
def prefect_api(workspace: Path, meanwhile: Callable[[], object] = lambda: None) -> Iterator[str]:
    """Yield the address of the configured Prefect server, of that of ``braid up``, or of one for this block.

    Args:
        workspace: Workspace of the command.
        meanwhile: Called while a server starts, which takes seconds; at once where a server runs already.
    """
    configured = get_current_settings().api.url
    running = running_services(workspace)
    if configured:
        meanwhile()
        yield configured
    elif running is not None:
        meanwhile()
        with configured_as(running.prefect_api), variables({SLOTS: str(running.gpu_slots)}):
            yield running.prefect_api
    else:
        workspace.mkdir(parents=True, exist_ok=True)
        with (
            prefect_server(workspace, port_near(0), ephemeral=True, meanwhile=meanwhile) as server,
            configured_as(server.address),
        ):
            _started.add(server.address)
            yield server.address


def has_pages() -> bool:
    """Return whether the API in use belongs to a dashboard that outlives this command."""
    return get_current_settings().api.url not in _started


@contextmanager
def configured_as(address: str) -> Iterator[None]:
    """Point this process, its threads and its children at an API; send what is queued for it at the end."""
    try:
        with variables({"PREFECT_API_URL": address}):
            refresh_global_settings_context()
            try:
                with temporary_settings({PREFECT_API_URL: address}):
                    yield
            finally:
                APILogHandler().flush()
                EventsWorker.drain_all(timeout=10)
    finally:
        refresh_global_settings_context()
