"""braid beside AutoGluon, Ludwig and a simple stack: the same rows, seconds and cores.

    python -m benchmarks.peers --data DIR --sets docs,emoji --peers simple,braid --seconds 300 --seeds 0

A set is a name of :data:`benchmarks.peers.sets.SETS`, whose folder ``--data`` gives, or a pipeline file. Rows
are divided by braid; each peer gets them as CSV files with the paths of media, and predicts the test rows
once. With ``--missing`` inputs of all splits are hidden at random first. Each peer but braid has an
environment of its own. Runs that the workspace holds are not made again. A peer that cannot be installed,
or fails, is a line with its reason.

``--seconds`` is handed to each as its limit for training, where it knows one. Processor seconds are of the
whole program and hold still where other work takes turns on the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from benchmarks.machine import machine
from benchmarks.peers.environments import PEERS, PROGRAMS, Environment, environment_of
from benchmarks.peers.job import ROWS, Job, Report, write_job
from benchmarks.peers.outcomes import Line, Outcome, as_json, as_markdown, lines
from benchmarks.peers.processes import run_process
from benchmarks.peers.rows import Rows, columns_of, divide, with_gaps
from benchmarks.peers.sets import open_set
from components.config.load import configured
from components.config.pipeline import PipelineConfig
from components.config.targets import MultilabelTarget
from components.targets import Regression
from flows.process_settings import configure_process

ROOT = Path(__file__).resolve().parents[2]


def job_of(config: PipelineConfig, values: dict[str, object], base: Path, rows: Rows) -> Job:
    """Describe the task of all peers; seconds, cores and seed are set for each."""
    target = config.target
    return Job(
        target=target.column,
        task=target.task,
        metric=target.metric,
        classes=[] if isinstance(rows.target, Regression) else list(rows.target.classes),
        separator=target.separator if isinstance(target, MultilabelTarget) else "",
        inputs={
            name: {"modality": section.modality, "columns": columns_of(section)}
            for name, section in config.inputs.items()
        },
        seconds=0.0,
        cores=0,
        seed=0,
        pipeline=values,
        base=str(base),
    )


def run_peer(peer: str, environment: Environment, job: Job, rows: Rows, folder: Path) -> Outcome:
    """Run a peer on a job, unless its folder holds the outcome."""
    if environment.python is None:
        return Outcome(peer, job.seed, environment.failure)
    folder.mkdir(parents=True, exist_ok=True)
    ended = folder / "ended.json"
    if not ended.exists():
        write_job(job, folder)
        for name in ROWS:
            table = rows.tables[name]
            with_target = table if name in ("train", "val") else table.drop(columns=job.target)
            with_target.to_csv(folder / f"{name}.csv", index=False)
        command = [str(environment.python), "-m", f"benchmarks.peers.programs.{PROGRAMS[peer]}", str(folder)]
        limit = 3 * job.seconds + 600  # what a peer takes beyond its time is shown, up to this
        made = run_process(command, folder / "log.txt", job.cores, limit, {"PYTHONPATH": str(ROOT)})
        ended.write_text(json.dumps(asdict(made)), "utf-8")
    state = json.loads(ended.read_text("utf-8"))
    if state["failure"]:
        return Outcome(peer, job.seed, state["failure"], peak=state["peak"])
    report = Report(**json.loads((folder / "report.json").read_text("utf-8")))
    hidden = folder / "hidden-predictions.csv"
    return Outcome(
        peer,
        job.seed,
        report=report,
        cpu=state["cpu"],
        peak=state["peak"],
        test=pd.read_csv(folder / "test-predictions.csv").to_numpy(float),
        hidden=pd.read_csv(hidden).to_numpy(float) if hidden.exists() else None,
    )


def measure(
    given: argparse.Namespace, name: str, rate: float, environments: dict[str, Environment]
) -> list[Line]:
    """Run all peers and seeds on one set."""
    folder = given.workspace / Path(name).stem / f"missing-{rate:g}"
    folder.mkdir(parents=True, exist_ok=True)
    config, values, base = open_set(name, given.data, given.set)
    if rate:
        values = with_gaps(config, values, base, folder, rate)
        config = configured(values, given.set, name)
    rows = divide(config, base, folder)
    job = job_of(config, config.model_dump(mode="json", exclude_unset=True), base, rows)
    outcomes = []
    for seed in given.seeds:
        for peer in given.peers:
            own = replace(job, seconds=given.seconds, cores=given.cores, seed=seed)
            label = f"{peer}-{seed}-{given.seconds:g}s-{given.cores}"
            outcomes.append(run_peer(peer, environments[peer], own, rows, folder / label))
            print(
                f"{name}, {rate:g} hidden: {label} {outcomes[-1].failure or 'done'}",
                file=sys.stderr,
                flush=True,
            )
    return lines(f"{config.name}, {rate:g} missing" if rate else config.name, rows, outcomes)


def report(every: Sequence[Line], command: str) -> str:
    """Write the page: command, machine, load and table."""
    load = f"load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return "\n".join([f"`{command}`  ", f"{machine()}; {load}", "", as_markdown(every)])


def main() -> None:
    """Run all peers on all sets and write ``peers.md`` and ``peers.json`` into the workspace."""
    configure_process()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that peers are ended
    given = _arguments()
    environments = {peer: environment_of(peer, given.environments) for peer in given.peers}
    every: list[Line] = []
    for name in given.sets:
        for rate in given.missing:
            every += measure(given, name, rate, environments)
            text = report(every, f"python -m benchmarks.peers {_shown(given)}")
            (given.workspace / "peers.md").write_text(f"{text}\n", "utf-8")
            (given.workspace / "peers.json").write_text(
                json.dumps([as_json(line) for line in every], indent=1), "utf-8"
            )
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sets", type=_words, required=True, help="names and pipeline files, separated by commas"
    )
    parser.add_argument("--data", type=Path, help="folder of the named sets")
    parser.add_argument("--peers", type=_words, default=list(PEERS), help=f"of {', '.join(PEERS)}")
    parser.add_argument("--seconds", type=float, default=300, help="for the training of each")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--seeds", type=lambda text: [int(each) for each in _words(text)], default=[0])
    parser.add_argument(
        "--missing",
        type=lambda text: [float(each) for each in _words(text)],
        default=[0.0],
        help="probabilities, separated by commas, of hiding an input of a row",
    )
    parser.add_argument("--set", action="append", default=[], help="option of the pipelines, as of braid run")
    parser.add_argument("--workspace", type=Path, default=Path(".braid/peers"))
    parser.add_argument("--environments", type=Path, default=Path(".braid/peer-environments"))
    given = parser.parse_args()
    if unknown := [peer for peer in given.peers if peer not in PEERS]:
        parser.error(f"--peers: {', '.join(unknown)} is not one of {', '.join(PEERS)}")
    given.workspace, given.environments = given.workspace.resolve(), given.environments.resolve()
    return given


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _shown(given: argparse.Namespace) -> str:
    """Give the command again, without the folders of this machine."""
    parts = [f"--data DIR --sets {','.join(Path(name).name for name in given.sets)}"]
    parts += [f"--peers {','.join(given.peers)} --seconds {given.seconds:g} --cores {given.cores}"]
    parts += [f"--seeds {','.join(map(str, given.seeds))}"]
    if given.missing != [0.0]:
        parts.append(f"--missing {','.join(f'{rate:g}' for rate in given.missing)}")
    return " ".join([*parts, *(f"--set {each}" for each in given.set)])


if __name__ == "__main__":
    main()
