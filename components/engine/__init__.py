"""Engines: they run the same functions in this process or on a Ray cluster."""

from components.config import EngineConfig
from components.engine.local import Local
from components.engine.on_ray import OnRay
from components.engine.protocol import Engine

__all__ = ["ENGINES", "Engine", "open_engine"]

ENGINES: dict[str, type[Local] | type[OnRay]] = {"local": Local, "ray": OnRay}


def open_engine(config: EngineConfig) -> Engine:
    """Open the engine that a pipeline asks for.

    Raises:
        EngineError: If it is ray, and Ray is not installed or its cluster cannot be joined.
    """
    return ENGINES[config.name](config)
