"""Marks of living processes: a lock each, which the kernel takes back when its holder ends.

Unlike the id of a process, it is never given to another; and no clock is compared.
"""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock


@contextmanager
def living(folder: Path) -> Iterator[str]:
    """Hold a mark of this process for the block; yield its name.

    Args:
        folder: Folder of the marks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    with FileLock(_lock(folder, name)):
        yield name
    forget(folder, name)


def dead(folder: Path) -> list[str]:
    """List the marks that their holders have left as they were killed."""
    return [file.stem for file in sorted(folder.glob("*.lock")) if not is_held(file)]


def forget(folder: Path, name: str) -> None:
    """Remove a mark that nobody holds."""
    _lock(folder, name).unlink(missing_ok=True)


def is_held(lock: Path) -> bool:
    """Return whether a process holds a lock; whoever may read the file can ask."""
    try:
        handle = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _lock(folder: Path, name: str) -> Path:
    return folder / f"{name}.lock"
