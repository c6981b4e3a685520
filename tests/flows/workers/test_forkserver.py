"""What workers are forked from is fit to be forked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flows.workers import forkserver

FORKED = """
import os, sys, threading
from flows.workers.preloaded import STEPS
import torch
print(threading.active_count(), torch.cuda.is_initialized(), all(step in sys.modules for step in STEPS))
print(os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"])
"""


def test_it_has_imported_the_steps_and_has_no_threads_and_no_gpu() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False", "True", "1"]


@pytest.mark.skipif(forkserver.METHOD != "forkserver", reason="workers are not forked on this system")
def test_to_ask_for_it_starts_nothing() -> None:
    """A worker of Prefect enters the task runner of its flow; it is to have no process of its own for it."""
    code = "from flows.workers import forkserver; forkserver.context(); "
    code += "from multiprocessing import forkserver as f; print(f._forkserver._forkserver_pid)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"
