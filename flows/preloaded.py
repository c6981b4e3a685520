"""Imports all steps, for the process that workers are forked from."""

import pkgutil

import flows.environment  # noqa: F401  (has to come first: it sets what the others read)

# isort: split
import tasks
from flows.imports import imported

STEPS = [f"{tasks.__name__}.{module.name}" for module in pkgutil.iter_modules(tasks.__path__)]

imported([*STEPS, "torch._dynamo"])  # torch imports the latter for its first optimizer, which takes seconds
