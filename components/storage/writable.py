"""Check of a folder before work is begun in it."""

import errno
import fcntl
import getpass
import tempfile
from pathlib import Path

from components.errors import ServiceError

_REFUSED = (errno.EACCES, errno.EPERM)
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


def require_writable(folder: Path) -> None:
    """Check that this user can write to a folder, made if need be, and that its file system has locks.

    Raises:
        ServiceError: If one is not so; says why and what to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ServiceError(f"{_reason(folder, error)}, or choose another folder by --workspace") from error


def owner(path: Path) -> str:
    """Name the owner of a file, or of the nearest folder above that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return path.owner()
    except (KeyError, OSError):
        return "an unknown user"


def _reason(folder: Path, error: OSError) -> str:
    if error.errno in _REFUSED:
        user = getpass.getuser()
        return f"{folder} belongs to {owner(folder)}, and {user} may not write there: let {user} do so"
    if error.errno == errno.EROFS:
        return f"{folder} is on a read-only file system: mount it writable"
    if error.errno in _NO_LOCKS:
        return f"the file system of {folder} has no locks ({error.strerror}): mount it with them"
    if folder.is_file():
        return f"{folder} is a file and no folder: remove it"
    return f"{folder} cannot be used ({error.strerror}): mend that"
