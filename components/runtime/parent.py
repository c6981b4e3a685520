"""End of a process with the one that started it, however that ends."""

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LOOK = 0.5  # seconds between two looks at the parent, where the kernel does not tell


def end_with(parent: int) -> None:
    """Have this process killed once its parent has ended.

    On Linux the kernel does it, whatever this process is at, and also after it has become another program by
    ``exec``. There the parent is the thread that started this process.

    Args:
        parent: Id of the process that started this one. If it has ended already, so does this one.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os._exit(1)
