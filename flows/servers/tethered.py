"""Start of a module as a process that ends when the process that started it ends, however that ends.

``python -m flows.servers.tethered PARENT MODULE ARGUMENT ...``: PARENT is the id of the process that starts
this one. It has no process of its own: it is bound to its parent, then runs the module.
"""

import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.runtime.parent import end_with
from components.storage.private import keep_private

_PATIENCE = 30.0  # seconds to end in after SIGTERM


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module as a process that ends with this one."""
    return [sys.executable, "-m", "flows.servers.tethered", str(os.getpid()), module, *arguments]


def start(
    module: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a module so, in a session of its own: Ctrl-C reaches only who started it.

    Args:
        module: Module that ``python -m`` can run.
        arguments: Arguments of the module.
        log: File to which its output is appended.
        environment: Variables besides those of this process.
    """
    keep_private(log)
    with log.open("ab") as output:
        return subprocess.Popen(
            command(module, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **environment},
        )


def end(process: subprocess.Popen[bytes], patience: float = _PATIENCE) -> None:
    """Ask a process of :func:`start` to end, and wait; kill it where it does not."""
    process.terminate()
    try:
        process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    """Bind this process to its parent and run the module."""
    parent, module, *arguments = sys.argv[1:]
    end_with(int(parent))
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
