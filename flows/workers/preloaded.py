"""Imports of all steps, in the process that workers are forked from."""

import pkgutil

import tasks
from flows.workers.imports import imported

STEPS = [module.name for module in pkgutil.walk_packages(tasks.__path__, f"{tasks.__name__}.")]

imported([*STEPS, "torch._dynamo"])  # torch imports it for its first optimizer, which takes seconds
