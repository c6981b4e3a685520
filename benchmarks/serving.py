"""Rows per second of a registered model: in this process, and behind `mlflow models serve`.

    braid run configs/demo.yaml
    python -m benchmarks.serving models:/demo@champion

Rows are those of the model's own input example, media as base64. In process, the pyfunc is given a table of
1, 32 and 1024 rows again and again. Then `mlflow models serve` (one worker) gets one row per request from
1, 4 and 8 clients at once, which run in this process on the same cores. Every round measures all of it once,
so that other load on the machine falls on all alike; the median of the rounds and their range are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PyFuncModel

from benchmarks.machine import machine
from flows.servers.processes import port_near

BATCHES, CLIENTS = (1, 32, 1024), (1, 4, 8)
MOST = 2000  # requests of one measurement
_START_SECONDS = 180


@dataclass(frozen=True)
class Load:
    """Load of a server as its clients measure it.

    Attributes:
        seconds: Seconds per request, in any order.
        elapsed: Seconds from the first request to the last response.
    """

    seconds: tuple[float, ...]
    elapsed: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.seconds) / self.elapsed

    def milliseconds(self, percent: float) -> float:
        """Compute a percentile of the latency."""
        return 1000 * float(np.percentile(self.seconds, percent))


def rows_a_second(model: PyFuncModel, table: pd.DataFrame, seconds: float) -> float:
    """Measure the model in this process, with at least three calls after one that is not counted."""
    model.predict(table)
    begin, calls = time.perf_counter(), 0
    while calls < 3 or time.perf_counter() - begin < seconds:
        model.predict(table)
        calls += 1
    return calls * len(table) / (time.perf_counter() - begin)


def ask(url: str, bodies: Sequence[bytes], clients: int, seconds: float, most: int = MOST) -> Load:
    """Send requests from so many clients at once, each the next after its response.

    Args:
        url: URL of the server's ``/invocations``.
        bodies: JSON, sent in turn.
        clients: Threads with a connection each.
        seconds: Seconds after which no request begins.
        most: Most requests in all.

    Raises:
        httpx.HTTPStatusError: If the status of a response is not 200.
    """
    latencies: list[float] = []
    failed: list[BaseException] = []
    lock = threading.Lock()
    left = iter(range(most))
    together = threading.Barrier(clients + 1)
    ends: list[float] = []

    def work() -> None:
        with httpx.Client(timeout=120) as client:
            together.wait()
            end = time.perf_counter() + seconds
            try:
                while time.perf_counter() < end:
                    with lock:
                        number = next(left, None)
                    if number is None:
                        break
                    begin = time.perf_counter()
                    body = bodies[number % len(bodies)]
                    client.post(
                        url, content=body, headers={"Content-Type": "application/json"}
                    ).raise_for_status()
                    with lock:
                        latencies.append(time.perf_counter() - begin)
            except httpx.HTTPError as error:
                failed.append(error)
            ends.append(time.perf_counter())

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    together.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return Load(tuple(latencies), max(ends) - begin)


@contextmanager
def serve(uri: str, log: Path, environment: Mapping[str, str], folder: Path | None = None) -> Iterator[str]:
    """Run `mlflow models serve` on a free port of this machine, and give its address.

    MLflow starts uvicorn by its name, so the one of this environment comes first.

    Args:
        uri: URI of the model.
        log: File for the server's output.
        environment: All variables of the server.
        folder: Working folder of the server; None is the current one.

    Raises:
        RuntimeError: If it does not start, with its output.
    """
    port = port_near(0)
    programs = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri, "--env-manager", "local"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**environment, "PATH": programs},
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + _START_SECONDS
        while not _responds(f"{address}/ping"):
            if server.poll() is not None or time.monotonic() > deadline:
                output_end = log.read_text("utf-8", "replace")[-2000:]
                raise RuntimeError(f"the server did not start; all its output is in {log}: {output_end}")
            time.sleep(0.2)
        yield address
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def measure(uri: str, rounds: int, seconds: float, log: Path) -> tuple[list[list[float]], list[list[Load]]]:
    """Measure rows per second by batch, and the load by number of clients; each a list of rounds."""
    model = mlflow.pyfunc.load_model(uri)
    example = model.input_example
    if example is None:
        raise RuntimeError(f"{uri} has no input example")
    tables = [
        pd.concat([example] * -(-batch // len(example)), ignore_index=True)[:batch] for batch in BATCHES
    ]
    rows = [row[row.notna()].to_dict() for _, row in example.iterrows()]
    bodies = [json.dumps({"dataframe_records": [row]}).encode() for row in rows]
    rates: list[list[float]] = [[] for _ in BATCHES]
    loads: list[list[Load]] = [[] for _ in CLIENTS]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
    with serve(uri, log, environment) as address:
        url = f"{address}/invocations"
        ask(url, bodies, 1, seconds, most=10)  # as the first requests wait for late imports
        for _ in range(rounds):
            for rate, table in zip(rates, tables, strict=True):
                rate.append(rows_a_second(model, table, seconds))
            for load, clients in zip(loads, CLIENTS, strict=True):
                load.append(ask(url, bodies, clients, seconds))
    return rates, loads


def report(rates: list[list[float]], loads: list[list[Load]], command: str) -> str:
    """Write tables in Markdown."""
    lines = [
        f"`{command}`  ",
        f"{machine()}; load average of the last minute {os.getloadavg()[0]:.1f}",
        "",
        "| in process, rows per call | rows per second |",
        "|---|---|",
        *(f"| {batch} | {_range(rounds)} |" for batch, rounds in zip(BATCHES, rates, strict=True)),
        "",
        "| `mlflow models serve`, clients | requests per second | p50 ms | p99 ms | requests |",
        "|---|---|---|---|---|",
    ]
    for clients, rounds in zip(CLIENTS, loads, strict=True):
        cells = [
            _range([load.rate for load in rounds]),
            _range([load.milliseconds(50) for load in rounds]),
            _range([load.milliseconds(99) for load in rounds]),
            str(sum(len(load.seconds) for load in rounds)),
        ]
        lines.append(f"| {clients} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _range(values: Sequence[float]) -> str:
    """Write the median, and the range in brackets."""
    digits = 0 if min(values) >= 10 else 1
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), np.median(values), max(values)))
    return f"{middle} [{low}, {high}]"


def _responds(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="models:/demo@champion")
    parser.add_argument("--workspace", type=Path, default=Path(".braid"), help="with mlflow.db")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    given = parser.parse_args()
    workspace = given.workspace.resolve()
    database = f"sqlite:///{workspace / 'mlflow.db'}"
    mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", database))
    rates, loads = measure(given.model, given.rounds, given.seconds, workspace / "serve.log")
    command = (
        f"python -m benchmarks.serving {given.model} --rounds {given.rounds} --seconds {given.seconds:g}"
    )
    print(report(rates, loads, command))


if __name__ == "__main__":
    main()
