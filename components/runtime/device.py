"""Choice of the device, its number format and its threads."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from components.errors import ModelError


def choose_device(name: str) -> torch.device:
    """Choose the device that a configuration asks for; ``auto`` takes a GPU if the machine has one.

    Raises:
        ModelError: If the machine lacks the device.
    """
    devices = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, available in devices.items() if available))
    if not devices[name]:
        raise ModelError(f"engine.device: {name!r} is not available on this machine; use auto or cpu")
    return torch.device(name)


def number_format(name: str, device: torch.device) -> str:
    """Return ``bf16`` if ``name`` is it, or if ``auto`` meets a GPU that has it; else ``fp32``."""
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return "bf16" if name == "bf16" or (name == "auto" and has_bf16) else "fp32"


def embedding_format(name: str, device: torch.device, pretrained: bool) -> str:
    """Return the number format of extraction: as :func:`number_format`, but ``auto`` considers the CPU too.

    A CPU with matrix units for bf16 (AMX) embeds about three times as fast with them
    (docs/results/benchmarks.md, Extraction). Networks from scratch stay in fp32, in which they were trained.
    """
    has_amx = device.type == "cpu" and torch.cpu.get_capabilities().get("amx_bf16", False)
    return "bf16" if name == "auto" and pretrained and has_amx else number_format(name, device)


def precision(name: str, device: torch.device) -> AbstractContextManager[Any]:
    """Make the context of a forward pass in the number format of ``name`` on the device."""
    bf16 = number_format(name, device) == "bf16"
    return torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()


def share_cores(workers: int) -> None:
    """Limit the threads of this process to its share of the cores, at most OMP_NUM_THREADS."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores // workers)))


def out_of_memory(error: RuntimeError) -> bool:
    """Return whether memory ran out; the allocators of CPU and Apple's GPU have no type for that error."""
    messages = ("can't allocate memory", "out of memory")
    return isinstance(error, torch.OutOfMemoryError) or any(message in str(error) for message in messages)
