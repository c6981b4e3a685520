"""Imports of all steps, in the process that workers are forked from."""

import os
import pkgutil
import signal

from prefect.plugins import load_prefect_collections

import tasks
from flows.workers.imports import imported

STEPS = [module.name for module in pkgutil.walk_packages(tasks.__path__, f"{tasks.__name__}.")]
# Libraries import these late, each worker anew: torch for its first optimizer, MLflow to open a database.
LATE = ["torch._dynamo", "mlflow.store.tracking.sqlalchemy_store"]
_PARENT = os.getppid()
_LOOK = 0.5  # seconds between two looks at the parent


def _end_without_parent(number: int, frame: object) -> None:
    if os.getppid() != _PARENT:
        os._exit(1)


# Once it serves, this process notices by itself that its parent is gone; the imports take seconds. It may not
# have a thread that looks, as it is forked.
signal.signal(signal.SIGALRM, _end_without_parent)
signal.setitimer(signal.ITIMER_REAL, _LOOK, _LOOK)
imported([*STEPS, *LATE])
load_prefect_collections()  # as each worker would for its first task
signal.setitimer(signal.ITIMER_REAL, 0)
