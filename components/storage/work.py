"""Folders for work that can be killed at any moment and goes on where it stopped.

A work folder is named by the digest of everything its result depends on. Whoever holds its lock
works in it; a second run with the same key waits and then finds the work done. The kernel drops
the lock of a killed process.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from components.storage.atomic import write_json

logger = logging.getLogger(__name__)


class Work:
    """One work folder, locked by this process.

    Attributes:
        folder: Where checkpoints and results go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def result(self) -> Any | None:
        """Result that :meth:`finish` was given, or None while the work is not done."""
        done = self.folder / "done.json"
        try:
            return json.loads(done.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:  # a disk that lost a block; what is written here is whole
            logger.warning("%s cannot be read: the work is done again", done)
            return None

    def forget(self) -> None:
        """Mark finished work as not done: its files are damaged."""
        logger.warning("%s: a file is damaged, the work is done again", self.folder)
        (self.folder / "done.json").unlink()

    def finish(self, result: Any) -> Any:
        """Mark the work as done with a JSON-serialisable result, and give it back."""
        write_json(self.folder / "done.json", result)
        return result


@contextmanager
def work(root: Path, key: str) -> Iterator[Work]:
    """Lock the work folder of ``key`` below ``root``, waiting while another process has it."""
    folder = root / key
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        yield Work(folder)
