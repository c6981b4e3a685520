"""Files that nobody but their owner may read: logs, databases, passwords."""

import os
import stat
from pathlib import Path

from components.storage.atomic import replacing

_SQLITE = "sqlite:///"


def keep_private(path: Path) -> None:
    """Create a file if it is missing, and take from others the right to read it.

    A folder that its group may write is a shared workspace. The group may then read and write the file, as
    far as the umask lets it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _mode(path.parent))
    try:
        status = os.fstat(handle)
        if status.st_mode & stat.S_IRWXO and status.st_uid == os.geteuid():
            os.fchmod(handle, stat.S_IMODE(status.st_mode) & _mode(path.parent))
    finally:
        os.close(handle)


def keep_database_private(uri: str) -> None:
    """Make the file of a SQLite URI private; other URIs are skipped."""
    if uri.startswith(_SQLITE):
        keep_private(Path(uri.removeprefix(_SQLITE)))


def write_private(path: Path, text: str) -> None:
    """Write a text to a private file atomically."""
    with replacing(path) as temporary:
        keep_private(temporary)
        temporary.write_text(text, "utf-8")


def _mode(folder: Path) -> int:
    return 0o660 if folder.stat().st_mode & stat.S_IWGRP else 0o600
