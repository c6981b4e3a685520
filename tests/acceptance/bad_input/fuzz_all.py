"""Every fuzzing target in turn: ``python -m tests.acceptance.bad_input.fuzz_all --seconds 60``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from tests.acceptance.bad_input.targets import TARGETS


def fuzz_one(name: str, seconds: int, crashes: Path) -> tuple[bool, str]:
    """Fuzz a target in a process of its own; give True where it withstood, and a line or its last output."""
    command = [sys.executable, "-m", "tests.acceptance.bad_input.fuzz", name, "--seconds", str(seconds)]
    started = time.monotonic()
    done = subprocess.run(
        [*command, "--crashes", str(crashes)],
        capture_output=True,
        text=True,
        timeout=seconds + 300,
        check=False,
    )
    counted = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    runs = counted[0].split()[-1] if counted else "?"
    good = done.returncode == 0
    took = f"{name}: {runs} inputs in {time.monotonic() - started:.0f} s, {'good' if good else 'FAILED'}"
    return good, took if good else "\n".join([took, *(done.stdout + done.stderr).splitlines()[-40:]])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--crashes", type=Path, default=Path(".braid/fuzz"), help="what fails is kept here")
    given = parser.parse_args()
    failed = 0
    for name in TARGETS:
        good, message = fuzz_one(name, given.seconds, given.crashes)
        print(message, flush=True)
        failed += not good
    return failed


if __name__ == "__main__":
    sys.exit(main())
