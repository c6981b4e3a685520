"""Ray cluster: an existing one, or one on this machine for as long as it is needed."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from components.config import EngineConfig
from components.engine.ray_internals import LOOPBACK, cause_of
from components.errors import BraidError
from components.runtime.environ import variables

ADDRESS = "RAY_ADDRESS"
"""Ray's own environment variable: the cluster that a process joins."""


class EngineError(BraidError):
    """Error of an engine that a pipeline asks for and that is not available."""


def import_ray() -> Any:
    """Import Ray with the parts that braid uses.

    Raises:
        EngineError: If it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no data is sent anywhere
    try:
        import ray  # Ray is an extra: the import is the check
        import ray.data
        import ray.train
    except ImportError as error:
        raise EngineError(
            f"engine.name: 'ray' needs Ray, which cannot be imported ({error}): pip install 'braid[ray]', or "
            "take local"
        ) from error
    return ray


def connect(config: EngineConfig) -> Any:
    """Join the cluster, unless this process has done so; return the library.

    Raises:
        EngineError: If Ray is not installed, or there is no cluster at the address.
    """
    address = config.cluster.address or os.environ.get(ADDRESS)
    if address is None:  # no other machine joins it; Ray reads this as it is imported
        os.environ.setdefault(LOOPBACK, "0")
    ray = import_ray()
    if ray.is_initialized():
        return ray
    quiet = {"log_to_driver": False, "logging_level": logging.WARNING}
    if address is None:
        ray.init(address="local", num_cpus=_cores(), include_dashboard=False, **quiet)
    else:
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            option = "engine.cluster.address" if config.cluster.address else ADDRESS
            raise EngineError(
                f"{option}: no Ray cluster can be joined at {address!r} "
                f"({str(error).splitlines()[0] if str(error) else type(error).__name__}). A run has to be on "
                "one of the cluster's own machines; without an address it starts a cluster of its own"
            ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # steps report their own progress
    context.print_on_execution_start = False
    return ray


@contextmanager
def running(*engines: EngineConfig) -> Iterator[None]:
    """Provide a cluster to the block and the processes that it starts, if any of the engines is ray.

    These processes find one that is started here by ``RAY_ADDRESS``; it ends with the block.

    Raises:
        EngineError: As for :func:`connect`.
    """
    on_ray = [engine for engine in engines if engine.name == "ray"]
    if not on_ray or _is_joined():  # a flow inside another has the cluster of that one
        yield
        return
    ray = connect(on_ray[0])
    given = on_ray[0].cluster.address or os.environ.get(ADDRESS)
    try:
        with variables({ADDRESS: given or ray.get_runtime_context().gcs_address}):
            yield
    finally:
        ray.shutdown()


def gpus_each(config: EngineConfig, ray: Any) -> int:
    """Return the GPUs of a worker with a network: 1 if the device asks for one or the cluster has any."""
    has_gpus = ray.cluster_resources().get("GPU", 0) > 0
    return int(config.device == "cuda" or (config.device == "auto" and has_gpus))


def own_error(error: BaseException | None) -> BraidError | None:
    """Return the error of braid that a worker raised, out of Ray's around it; None if there is none."""
    while error is not None and not isinstance(error, BraidError):
        error = cause_of(error)
    cause = getattr(error, "cause", None)  # Ray makes a class that is both its own error and the worker's
    return cause if isinstance(cause, BraidError) else error


@contextmanager
def followed(ray: Any, work: Any) -> Iterator[None]:
    """Guard the block of a generator that follows work on the cluster: its early end cancels the work.

    Args:
        ray: The library.
        work: Reference, or stream of them.

    Raises:
        BraidError: The error of a worker, as it was raised there.
    """
    try:
        yield
    except GeneratorExit:
        ray.cancel(work, force=True)
        raise
    except ray.exceptions.RayError as error:
        own = own_error(error)
        if own is None:
            raise
        raise own from None


def _is_joined() -> bool:
    """Return whether this process is in a cluster, without an import of Ray."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
