"""Private names of Prefect's server.

It is imported where it is used, since only the process that serves needs it.
"""

import asyncio
import base64
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

from filelock import AsyncFileLock

from components.storage.tables import make_tables
from flows.servers.retrying import App, is_repeated, until_unlocked

EPHEMERAL = "PREFECT__SERVER_EPHEMERAL"
"""Variable of a server without schedulers. Goes when Prefect has a setting for it."""
SIGN_IN = "/sign-in"
"""Path of the page that signs a browser in."""
PAGES = {
    # Both of Prefect's pages look for the password in this place of the browser's storage. What follows #
    # in an address is sent to nobody.
    SIGN_IN: b"""<!doctype html><title>braid</title><script>
localStorage.setItem("prefect-password", location.hash.slice(1));
location.replace("/");
</script>""",
}
"""Pages besides Prefect's, by path."""
BUSY_SECONDS = 1
"""Longest wait of one connection to SQLite for the lock of another."""


def sign_in_address(dashboard: str, password: str) -> str:
    """Return the address that opens the dashboard signed in.

    Goes when Prefect's pages take a password from their address.
    """
    return f"{dashboard}{SIGN_IN}#{base64.b64encode(password.encode()).decode()}"


def prefect_application() -> App:
    """Build Prefect's application, on SQLite one that many may write to at once."""
    from prefect.server.api.server import create_app

    _shorten_waits_for_locks()
    _lock_at_once_when_repeated()
    _repeat_services_on_locks()
    _migrate_one_by_one()
    return create_app()


def create_database() -> None:
    """Run Prefect's migrations on the database that its settings name.

    Goes when Prefect has a public function for it.
    """
    from prefect.server.database.dependencies import provide_database_interface

    asyncio.run(provide_database_interface().create_db())


def tables() -> Path:
    """Return the file with the tables of a new database.

    Goes when Prefect makes them in less than a second.
    """
    from prefect import __version__

    return Path(__file__).with_name(f"tables-{__version__}.sql")


def _shorten_waits_for_locks() -> None:
    """Set the busy timeout of every connection to ``BUSY_SECONDS``.

    Prefect sets 60 s, whatever ``PREFECT_SERVER_DATABASE_TIMEOUT`` says. While a connection waits that long
    it holds its own mutex, and whoever frees one of its cursors waits for that in ``sqlite3_reset``. If the
    holder of the lock needs the one who waits in order to commit, both stand still until the time is over.

    Goes when Prefect takes its busy timeout from the setting.
    """
    from prefect.server.database.configurations import AioSqliteConfiguration

    set_up = AioSqliteConfiguration.setup_sqlite

    @wraps(set_up)
    def set_up_briefly(self: AioSqliteConfiguration, connection: Any, record: Any) -> None:
        set_up(self, connection, record)
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS}")
        cursor.close()

    AioSqliteConfiguration.setup_sqlite = set_up_briefly  # type: ignore[assignment, method-assign]


def _lock_at_once_when_repeated() -> None:
    """Begin the transactions of a repeated try with the lock, so that they wait for it and are not refused.

    Prefect begins with a read and locks with the first write. If another transaction has written in
    between, SQLite refuses that write without a wait ("BUSY_SNAPSHOT"), and among many writers every try.

    Goes when Prefect begins transactions that write with ``BEGIN IMMEDIATE``.
    """
    from prefect.server.database.configurations import AioSqliteConfiguration

    begin = AioSqliteConfiguration.begin_transaction

    @wraps(begin)
    def begin_locked(self: AioSqliteConfiguration, session: Any, with_for_update: bool = False) -> Any:
        return begin(self, session, with_for_update or is_repeated.get())

    AioSqliteConfiguration.begin_transaction = begin_locked  # type: ignore[method-assign]


def _repeat_services_on_locks() -> None:
    """Repeat the work of background services that SQLite refuses, as requests are repeated.

    These are the functions that Prefect gives to its docket, the handlers of events, and the recorder of task
    runs. The persister of events repeats by itself.

    Goes when Prefect repeats them itself on "database is locked".
    """
    from docket import Docket
    from prefect.server.api import server
    from prefect.server.services import task_run_recorder
    from prefect.server.utilities.messaging import memory

    class RetryingDocket(Docket):
        def register(self, function: Any, names: list[str] | None = None) -> None:
            super().register(until_unlocked(function), names or [function.__name__])

    class RetryingConsumer(memory.Consumer):
        async def run(self, handler: Any) -> None:
            await super().run(until_unlocked(handler))

    server.Docket = RetryingDocket  # type: ignore[misc]
    memory.Consumer = RetryingConsumer  # type: ignore[misc]
    record = task_run_recorder.record_bulk_task_run_events
    task_run_recorder.record_bulk_task_run_events = until_unlocked(record)  # type: ignore[assignment]


def _migrate_one_by_one() -> None:
    """Have servers that begin at once on one database bring it up to date one after the other.

    A new database takes seconds, longer than ``BUSY_SECONDS``: its tables, then the kinds of blocks.

    Goes with :func:`_shorten_waits_for_locks`.
    """
    from prefect.server.database.dependencies import provide_database_interface
    from prefect.server.database.interface import PrefectDBInterface
    from prefect.server.models import block_registration

    create = until_unlocked(PrefectDBInterface.create_db)
    register = block_registration.run_block_auto_registration

    @wraps(create)
    async def create_alone(self: PrefectDBInterface) -> None:
        async with _start_of_server(self):
            file = _file(self)
            if file is not None:
                make_tables(file, tables())
            await create(self)

    @until_unlocked
    async def register_or_leave_nothing(session: Any) -> None:
        try:
            await register(session=session)
        except Exception:
            await session.rollback()
            raise

    @wraps(register)
    async def register_alone(session: Any) -> None:
        async with _start_of_server(provide_database_interface()):
            await register_or_leave_nothing(session)

    PrefectDBInterface.create_db = create_alone  # type: ignore[method-assign]
    block_registration.run_block_auto_registration = register_alone


def _start_of_server(database: Any) -> AbstractAsyncContextManager[Any]:
    """Lock that one server at a time holds while it prepares a SQLite database."""
    file = _file(database)
    return nullcontext() if file is None else AsyncFileLock(file.with_name(f".{file.name}.lock"))


def _file(database: Any) -> Path | None:
    """Return the file of a SQLite database; None for another kind of database."""
    from sqlalchemy.engine import make_url

    url = make_url(database.database_config.connection_url)
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None
