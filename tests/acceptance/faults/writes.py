"""A process that is killed at one of its writes, forked from one that has imported the steps."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.forks import SECONDS, begun


@dataclass(frozen=True)
class Write:
    """The write that a process does not survive. Every file is written under another name, then renamed.

    Attributes:
        number: Position among the writes of the process, from 1.
        suffix: Ending of the files whose writes are counted; all are by default.
        renamed: Whether the file still gets its name.
    """

    number: int
    suffix: str = ""
    renamed: bool = False


def killed_at(write: Write, function: Callable[..., object], *arguments: Any) -> bool:
    """Call a function in a process that is killed at a write.

    Args:
        write: The write that ends it.
        function: Importable by its name.
        arguments: Positional ones, which can be pickled.

    Returns:
        True where it was killed, False where it ended before it came to that write.
    """
    process = begun(_write, write, function, arguments)
    process.join(SECONDS)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode == -signal.SIGKILL


def _write(write: Write, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    rename, count = Path.replace, 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal count
        count += str(target).endswith(write.suffix)
        last = count == write.number and str(target).endswith(write.suffix)
        renamed = rename(self, target) if write.renamed or not last else self
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return renamed

    Path.replace = replace  # type: ignore[method-assign,assignment]
    function(*arguments)
