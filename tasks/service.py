"""What a run needs from outside, MLflow, the API of Prefect and room on the disk, and that it is gone."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit

import httpx
from mlflow.exceptions import MlflowException

from components.errors import ServiceError

_GOES_ON = "what was finished is kept, and the same command goes on where it stopped"
_TRIES, _PAUSE, _PATIENCE = 4, 2.0, 10.0  # seconds
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PASSWORD = re.compile(r"//[^/@\s]*@")
_GONE = ("API request to", "TEMPORARILY_UNAVAILABLE")


@contextmanager
def reached() -> Iterator[None]:
    """What tells in this block that a service is gone becomes a :class:`ServiceError`.

    Raises:
        ServiceError: If MLflow, its database, Prefect's API or the disk cannot be used for now.
    """
    try:
        yield
    except MlflowException as error:
        if not _is_gone(error):
            raise
        raise ServiceError(f"MLflow cannot be used: {_first_line(error)}; {_GOES_ON}") from error
    except httpx.TransportError as error:
        what = f"{type(error).__name__}: {_first_line(error)}".removesuffix(": ")
        raise ServiceError(f"Prefect's API does not answer ({what}); {_GOES_ON}") from error
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = f" for {error.filename}" if error.filename else ""
        raise ServiceError(
            f"there is no room left{where} ({error.strerror}): make some; {_GOES_ON}"
        ) from error


@cache
def check_answers(uri: str) -> None:
    """Look once whether a server answers, instead of asking it for minutes as MLflow's client does.

    Args:
        uri: Tracking URI; what is not a server is taken as it is.

    Raises:
        ServiceError: If it does not.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # this question needs no password
    for attempt in range(_TRIES):
        try:
            httpx.get(f"{shown.rstrip('/')}/health", timeout=_PATIENCE, verify=False)  # any answer is one
            return
        except httpx.TransportError as error:
            cause = error
        if attempt + 1 < _TRIES:
            time.sleep(_PAUSE)
    raise ServiceError(
        f"MLflow does not answer at {shown} ({_first_line(cause)}): start it, or name another tracking_uri "
        f"in mlflow.yaml; {_GOES_ON}"
    )


def _is_gone(error: MlflowException) -> bool:
    """Whether a server did not answer, or its database was locked, full or away."""
    return error.error_code in _GONE or str(error).startswith(_GONE)


def _first_line(error: Exception) -> str:
    return _PASSWORD.sub("//***@", str(error).strip().partition("\n")[0])
