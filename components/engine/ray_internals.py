"""Private names of Ray: braid uses them in this file alone.

Written for ray 2.60 (``ray>=2.60,<3`` in pyproject.toml). Each entry says what lets it go.
"""

LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Variable, read as Ray is imported: at 0 the servers of a cluster listen on 127.0.0.1 alone.

Goes when ``ray.init`` takes the address that a local cluster listens on."""


def cause_of(error: BaseException) -> BaseException | None:
    """Return the error that one of Ray wraps; None if it wraps none.

    Ray Train wraps the error of each worker once more, under another name than Ray's core.

    Goes when all of Ray's errors set ``__cause__`` to the error that was raised on the worker.
    """
    failures = getattr(error, "worker_failures", None) or {}
    inner = getattr(error, "cause", None) or getattr(error, "_base_exc", None)
    return next(iter(failures.values()), None) or inner or error.__cause__
