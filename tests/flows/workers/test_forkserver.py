"""The process that workers are forked from is fit for that."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.workers import forkserver
from tests.forks import at_once


def facts(together: Callable[[], object]) -> dict[str, object]:
    """Describe a forked process before it imports anything, and its parent, which it was forked from."""
    together()
    parents = [(task / "comm").read_text().strip() for task in Path(f"/proc/{os.getppid()}/task").iterdir()]
    preloaded = sys.modules[forkserver.STEPS]
    needed = [*preloaded.STEPS, *preloaded.LATE, "prefect_kubernetes"]
    return {
        "threads": [task for task in parents if task != "jemalloc_bg_thd"],  # Arrow's, which survives a fork
        "gpu": sys.modules["torch"].cuda.is_initialized(),
        "missing": [module for module in needed if module not in sys.modules],
    }


@pytest.mark.skipif(forkserver.METHOD != "forkserver", reason="workers are not forked on this system")
def test_it_has_imported_the_steps_and_has_no_threads_and_no_gpu() -> None:
    (state,) = at_once(facts, [()])
    assert state == {"threads": ["python"], "gpu": False, "missing": []}
    assert os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] == "1"


@pytest.mark.skipif(forkserver.METHOD != "forkserver", reason="workers are not forked on this system")
def test_to_ask_for_it_starts_nothing() -> None:
    """A worker of Prefect enters the task runner of its flow; it is to have no process of its own for it."""
    code = "from flows.workers import forkserver; forkserver.context(); "
    code += "from multiprocessing import forkserver as f; print(f._forkserver._forkserver_pid)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"


BEGIN = """
import os, sys
from flows.workers import forkserver
forkserver.STEPS = "flows.workers"
sys.imported_once = 7
reader, writer = os.pipe()
forkserver.begin()
code = "import sys; print(sys.imported_once); from flows.workers import forkserver; forkserver.begin()"
code += "; worker = forkserver.context().Process(target=print, args=('of a worker',))"
worker = forkserver.context().Process(target=exec, args=(f"{code}; worker.start(); worker.join()", {}))
worker.start()
worker.join()
os.close(writer)
print(os.read(reader, 1))
"""


@pytest.mark.skipif(forkserver.METHOD != "forkserver", reason="workers are not forked on this system")
def test_it_has_what_the_command_has_imported_and_none_of_its_files_and_locks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines() == ["7", "of a worker", "b''"], done.stderr


CAPTURED = """
import logging, os, sys, tempfile
from flows.workers import forkserver
forkserver.STEPS = "flows.workers"
captured = tempfile.TemporaryFile("w")
sys.stderr = captured
logging.basicConfig(stream=captured)
forkserver.begin()
code = "import os, sys; pipe = os.pipe(); print('of Python', file=sys.stderr, flush=True)"
code += "; import logging; logging.warning('of a log'); os.set_blocking(pipe[0], False)"
code += "; print(os.read(pipe[0], 99) if __import__('select').select([pipe[0]], [], [], 0)[0] else 'nothing')"
worker = forkserver.context().Process(target=exec, args=(code, {}))
worker.start()
worker.join()
"""


@pytest.mark.skipif(forkserver.METHOD != "forkserver", reason="workers are not forked on this system")
def test_what_a_worker_writes_goes_to_its_standard_error_though_a_command_captures_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CAPTURED], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["nothing"]
    assert "of Python" in done.stderr
    assert "of a log" in done.stderr
