"""Cost of Prefect and MLflow beyond the same components called directly.

    python -m benchmarks.orchestration --rows 100000

A pipeline is run twice in empty folders: by ``braid run``, with a Prefect server of its own
and MLflow on SQLite; and by calling the components one after the other. Both are commands of their own, so
imports count on both sides. Both evaluate, draw the same figures, measure robustness, explain samples,
audit the data and write the report. ``braid run`` gets one worker (it takes two by default), so that neither
does two things at a time. Processor seconds are those of all processes, Prefect's server too. Unlike wall
seconds, they do not depend on other work on the same cores.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from benchmarks.generated import pipeline_of, write_rows
from benchmarks.machine import machine
from components.config.load import load_pipeline
from components.config.tracking import VARIABLES
from components.evaluation.figures import all_figures
from components.explanations.figures import explanation_figures
from components.pipeline.plain import PlainSteps
from components.pipeline.run import retrain
from components.robustness.figures import robustness_figures
from flows.process_settings import configure_process

_INPUTS = ("table", "text", "image")
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def call_directly(config: Path, folder: Path) -> None:
    """Run the steps of a retraining and draw its figures, without Prefect and MLflow.

    Raises:
        RuntimeError: If a step is missing: the comparison would be of less work.
    """
    pipeline = load_pipeline(config)
    steps = PlainSteps(pipeline, folder, config.parent)
    result = retrain(steps, pipeline, steps.ingest())
    if result.missing:
        raise RuntimeError("; ".join(map(str, result.missing)))
    drawn = {
        **all_figures(result.evaluation.evaluations[0]),
        **robustness_figures(result.optional["robustness"]),
        **explanation_figures(result.optional["explain"]),
    }
    for figure in drawn.values():
        figure.canvas.draw()


@dataclass(frozen=True)
class Cost:
    """Cost of a command.

    Attributes:
        wall: Seconds from start to end.
        cpu: Processor seconds of the command and its children.
    """

    wall: float
    cpu: float


def cost_of(command: Sequence[str], folder: Path) -> Cost:
    """Run a command in a folder.

    Raises:
        RuntimeError: If it fails, with its errors.
    """
    root = Path(__file__).parents[1]
    paths = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "PREFECT_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS": "1"}
    for name in (
        *VARIABLES,
        "PYTHONDONTWRITEBYTECODE",
    ):  # as the latter makes each process compile braid anew
        environment.pop(name, None)
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    wall = time.perf_counter() - begin
    _wait_for_orphans()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _adopt_orphans() -> None:
    """Become the parent of processes that commands leave behind, such as fork servers (Linux).

    The system adds processor seconds of a process to the parent that waits for it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _wait_for_orphans() -> None:
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def measure(config: Path, folder: Path, rounds: int) -> tuple[list[Cost], list[Cost]]:
    """Measure the cost of ``braid run`` and of the components, by round."""
    runs: list[Cost] = []
    calls: list[Cost] = []
    for number in range(rounds):
        for name, costs in (("run", runs), ("direct", calls)):
            workspace = folder / f"{config.stem}-{name}-{number}"
            workspace.mkdir(parents=True)
            command = (
                ["flows.cli.app", "run", str(config), "--workspace", str(workspace / ".braid")]
                if name == "run"
                else ["benchmarks.orchestration", "--direct", str(config), "--workspace", str(workspace)]
            )
            costs.append(cost_of([sys.executable, "-m", *command], workspace))
    return runs, calls


def generated_config(folder: Path, rows: int, epochs: int) -> Path:
    """A pipeline file over generated rows."""
    manifest = write_rows(folder, rows, _INPUTS)
    fit = {"epochs": epochs, "batch_size": 256}
    config = pipeline_of(
        manifest, _INPUTS, training={"epochs": epochs}, fusion={"name": "gated", "width": 64}
    )
    values = config.model_dump(mode="json")
    for name in _INPUTS:
        values["inputs"][name]["fit"] = fit
    path = folder / "generated.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), "utf-8")
    return path


def rows_of(name: str, runs: Sequence[Cost], calls: Sequence[Cost]) -> list[str]:
    """Lines of the table."""
    lines = []
    for kind, values in (
        ("wall", [(run.wall, call.wall) for run, call in zip(runs, calls, strict=True)]),
        ("processor", [(run.cpu, call.cpu) for run, call in zip(runs, calls, strict=True)]),
    ):
        cells = [
            _range([run for run, _ in values]),
            _range([call for _, call in values]),
            _range([run - call for run, call in values]),
            _range([(run - call) / run for run, call in values], 3),
        ]
        lines.append(f"| {name} | {kind} | {' | '.join(cells)} |")
    return lines


def _range(values: Sequence[float], digits: int = 1) -> str:
    middle = sorted(values)[len(values) // 2]
    return f"{middle:.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def main() -> None:
    """Measure and print the table."""
    configure_process()  # the processes that it starts have the allocator of a run
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=Path("configs/demo.yaml"))
    parser.add_argument("--rows", type=int, default=10_000, help="of the generated pipeline; 0 leaves it out")
    parser.add_argument("--epochs", type=int, default=3, help="of each training of it")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workspace", type=Path, help="kept; else a temporary folder")
    parser.add_argument("--direct", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.direct is not None:
        call_directly(given.direct, given.workspace)
        return
    _adopt_orphans()
    with TemporaryDirectory() as temporary:
        folder = (given.workspace or Path(temporary)).resolve()
        lines = [*rows_of("demo", *measure(given.config.resolve(), folder, given.rounds))]
        if given.rows:
            config = generated_config(folder, given.rows, given.epochs)
            lines += rows_of(f"{given.rows} generated rows", *measure(config, folder, given.rounds))
    options = f"--rows {given.rows} --epochs {given.epochs} --rounds {given.rounds}"
    print(f"`python -m benchmarks.orchestration {options}`  ")
    print(machine())
    print("\n| pipeline | seconds | braid run | components alone | added | share of the run |")
    print("|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
