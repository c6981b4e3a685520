"""Environment of a run, on which its numbers depend: versions, device, threads."""

import platform
import sys
from importlib.metadata import distributions
from typing import Any

import torch

from components.runtime.device import choose_device


def environment(device: str) -> dict[str, Any]:
    """Return facts of this process, which can be written as JSON.

    Args:
        device: ``engine.device`` of the pipeline.

    Returns:
        ``python``, ``platform``, ``instructions`` (vector unit that torch uses), ``device``,
        ``threads`` (of one worker process) and ``packages``: every installed distribution with its version.

    Raises:
        ModelError: If there is no such device.
    """
    chosen = choose_device(device)
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else chosen.type
    packages = {each.metadata["Name"]: each.version for each in distributions()}
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": name,
        "threads": torch.get_num_threads(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }
