"""Run of a command that ends when the process that started it ends, however that ends.

``python -m flows.servers.tethered PARENT COMMAND ...``: PARENT is the id of the process that starts this one.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

_PATIENCE = 30.0  # seconds to end in after SIGTERM
_LOOK = 0.5  # seconds between two looks at the parent


def start(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command on this tether, in a session of its own: Ctrl-C reaches only who started it.

    Args:
        command: Program and arguments.
        log: File to which its output is appended.
        environment: Variables besides those of this process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.servers.tethered", str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **environment},
        )


def end(process: subprocess.Popen[bytes], patience: float = _PATIENCE + 5) -> None:
    """Ask a process of :func:`start` to end, and wait; kill it where it does not."""
    process.terminate()
    try:
        process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(parent: int, command: Sequence[str]) -> int:
    """Run the command until it, the parent or a signal ends it; return its exit code."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    child = subprocess.Popen(command, start_new_session=True)
    while os.getppid() == parent and not asked:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=_LOOK)
    child.terminate()
    try:
        code = child.wait(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        code = -signal.SIGKILL
    with suppress(ProcessLookupError):  # kills children that it left
        os.killpg(child.pid, signal.SIGKILL)
    return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
