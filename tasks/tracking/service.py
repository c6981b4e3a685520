"""Services that a run needs: MLflow, Prefect's API and space on the disk; and errors at their loss."""

import errno
import getpass
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.errors import BraidError, ServiceError
from components.redaction import redacted
from components.storage.private import keep_private
from components.storage.sqlite_url import sqlite_file
from components.storage.tables import make_tables
from components.storage.writable import owner
from tasks.tracking.mlflow_internals import tables

_RESUME = "finished steps are stored, and the same command resumes where it stopped"
_TRIES, _PAUSE, _PATIENCE = 4, 2.0, 10.0  # seconds
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_GONE = ("API request to", "TEMPORARILY_UNAVAILABLE")


@contextmanager
def service_errors() -> Iterator[None]:
    """Turn an error of the block that means a lost service into a :class:`ServiceError`.

    Raises:
        ServiceError: If MLflow, its database, Prefect's API or the disk cannot be used for now.
    """
    try:
        yield
    except BraidError:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            loss = _loss(cause)
            if loss is not None:
                raise ServiceError(f"{loss}; {_RESUME}") from error
            cause = cause.__cause__
        raise


@cache
def check_answers(uri: str) -> None:
    """Check once that a server responds: MLflow's client would try for minutes.

    Args:
        uri: Tracking URI; one that is no server is not checked.

    Raises:
        ServiceError: If the server does not respond.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # this request needs no password
    for attempt in range(_TRIES):
        try:
            httpx.get(f"{shown.rstrip('/')}/health", timeout=_PATIENCE, verify=False)  # any status will do
            return
        except httpx.TransportError as error:
            cause = error
        if attempt + 1 < _TRIES:
            time.sleep(_PAUSE)
    raise ServiceError(
        f"MLflow does not answer at {shown} ({_first_line(cause)}): start it, or name another tracking_uri "
        f"in mlflow.yaml; {_RESUME}"
    )


def make_database(uri: str) -> None:
    """Have MLflow make the tables of a new SQLite file under a lock: it takes none itself.

    Args:
        uri: URI of tracking or registry; any other than a SQLite file in an existing folder is skipped.
    """
    file = sqlite_file(uri)
    if file is not None and file.parent.is_dir():
        _make_tables(uri, file)


@cache
def _make_tables(uri: str, file: Path) -> None:
    with FileLock(file.with_name(f".{file.name}.lock")):
        keep_private(file)
        make_tables(file, tables())
        MlflowClient(uri, uri)


def copy_records(workspace: Path, to: Path) -> None:
    """Copy MLflow's database of a workspace that cannot be written to into one that can.

    What is logged from now on goes to the folder of the copy; artifacts of earlier runs stay where they are.

    Args:
        workspace: The workspace; one without a database of its own is left alone.
        to: Folder of the copy.

    Raises:
        ServiceError: If this user may not read the database.
    """
    file = workspace / "mlflow.db"
    if not file.exists():
        return
    try:
        with (
            closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(to / file.name)) as copy,
        ):
            source.backup(copy)
            copy.execute(
                "UPDATE experiments SET artifact_location = ? || '/' || experiment_id",
                ((to / "mlartifacts").as_uri(),),
            )
            copy.commit()
    except sqlite3.Error as error:
        raise ServiceError(f"{file} cannot be read ({error}): let {getpass.getuser()} read it") from error


def _loss(error: BaseException) -> str | None:
    """Name the service whose loss an error means; None if it means none."""
    match error:
        case MlflowException() if error.error_code in _GONE or str(error).startswith(_GONE):
            return f"MLflow cannot be used: {_first_line(error)}"
        case BrokenProcessPool():
            return (
                "a worker process was killed, as the system does when memory runs out: let fewer work at "
                "once (PREFECT_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS=1), or take smaller batches"
            )
        case httpx.TransportError():
            what = f"{type(error).__name__}: {_first_line(error)}".removesuffix(": ")
            return f"Prefect's API does not answer ({what})"
        case OSError() if error.errno in _NO_ROOM:
            where = f" for {error.filename}" if error.filename else ""
            return f"there is no room left{where} ({error.strerror}): make some"
        case OSError() if error.errno in _REFUSED and error.filename:
            whose = f"it belongs to {owner(Path(error.filename))}"
            return (
                f"{error.filename} cannot be used ({error.strerror}; {whose}): let {getpass.getuser()} do so"
            )
    return None


def _first_line(error: BaseException) -> str:
    return redacted(str(error).strip().partition("\n")[0])
