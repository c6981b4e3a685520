"""Imports that take seconds."""

import gc
from collections.abc import Iterable
from importlib import import_module


def imported(modules: Iterable[str]) -> None:
    """Import modules that stay until this process ends.

    Garbage is not collected meanwhile, and later collections skip the imported objects, which have none. A
    search of them takes a quarter of the time of the imports, and most of that of the end of a process.
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
