"""Several processes that are the first to use a workspace make MLflow's database once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONNECT = """
import sys
from pathlib import Path
from components.config import load_tracking
from tasks import tracking
at = load_tracking(None, Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(tracking.start_run(at, sys.argv[2], sys.argv[2], {}))
"""


def test_three_at_once_have_a_run_each(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CONNECT, str(tmp_path), str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], [said[1][-500:] for said in answers]
    assert len({run for run, _ in answers}) == 3
