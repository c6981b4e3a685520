"""Password of Prefect's server: without it the server answers nobody."""

import os
import secrets
from pathlib import Path

from components.errors import BraidError
from components.storage.private import write_private

_VARIABLES = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")
_USER = "braid"


def new_password() -> str:
    """Return the password that the environment gives, or else a new one, as ``user:password``."""
    given = next(filter(None, map(os.environ.get, _VARIABLES)), None)
    return given or f"{_USER}:{secrets.token_urlsafe(32)}"


def stored_password(workspace: Path) -> str:
    """Read the password of the server that ``braid up`` runs on a workspace.

    Raises:
        BraidError: If it cannot be read.
    """
    try:
        return _file(workspace).read_text("utf-8")
    except OSError as error:
        raise BraidError(
            f"{_file(workspace)}: the password of the servers of braid up cannot be read "
            f"({error.strerror}). Ask who started it, or share the workspace (docs/operate/security.md)"
        ) from error


def kept_password(workspace: Path) -> str:
    """Return the password for ``braid up``: that of last time, so that a browser stays signed in.

    One that the environment gives takes its place.
    """
    file = _file(workspace)
    last = file.read_text("utf-8") if file.exists() else ""
    wanted = last if last and not any(map(os.environ.get, _VARIABLES)) else new_password()
    write_private(file, wanted)
    return wanted


def _file(workspace: Path) -> Path:
    return workspace / "prefect-password"
