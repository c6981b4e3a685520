"""Importing what takes seconds."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from importlib import import_module


def imported(modules: Iterable[str]) -> None:
    """Import modules that this process keeps to its end.

    Meanwhile nobody looks for garbage, and later nobody looks at what they made: there is none among it, and
    looking is a quarter of the time of the imports and most of that of the end of a process.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        for module in modules:
            import_module(module)
    finally:
        if was_on:
            gc.enable()
        gc.freeze()
