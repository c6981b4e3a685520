"""Prefect's server on SQLite responds while several clients write at once."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from flows.servers.processes import Server, port_near, prefect_server
from tests.prefect_api import signed_in

WRITERS, RUNS = 6, 5
HELD = 4.0  # seconds of a lock
LONGEST = 10.0  # seconds of a response on a busy machine; a stall of the server takes 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with prefect_server(tmp_path_factory.mktemp("server"), port_near(0), ephemeral=False) as server:
        yield server


def write(address: str) -> float:
    """Write what a small run writes, ``RUNS`` times; return the seconds of the longest response."""
    longest = 0.0
    with signed_in(address, timeout=90) as client:

        def post(path: str, body: object) -> httpx.Response:
            nonlocal longest
            start = time.monotonic()
            response = client.post(path, json=body)
            longest = max(longest, time.monotonic() - start)
            assert response.status_code < 300, (path, response.status_code, response.text)
            return response

        flow = post("/flows/", {"name": "writes"}).json()["id"]
        for _ in range(RUNS):
            run = post("/flow_runs/", {"flow_id": flow, "state": {"type": "PENDING"}}).json()["id"]
            for kind in ("RUNNING", "COMPLETED"):
                post(f"/flow_runs/{run}/set_state", {"state": {"type": kind}, "force": True})
                event = {
                    "id": run[:-4] + ("0000" if kind == "RUNNING" else "0001"),
                    "occurred": "2026-11-01T12:00:00Z",
                    "event": f"prefect.flow-run.{kind.title()}",
                    "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
                }
                post("/events", [event])
            log = {"name": "x", "level": 20, "message": "m", "timestamp": "2026-11-01T12:00:00Z"}
            post("/logs/", [{**log, "flow_run_id": run}] * 20)
            post("/artifacts/", {"key": "k", "type": "markdown", "data": "text", "flow_run_id": run})
    return longest


@contextmanager
def lags(address: str) -> Iterator[list[float]]:
    """Collect the seconds of ``/health`` during the block: it needs nothing but the server's event loop."""
    seconds: list[float] = []
    over = threading.Event()

    def look() -> None:
        with httpx.Client(base_url=address, timeout=90, trust_env=False) as client:
            while not over.wait(0.05):
                start = time.monotonic()
                client.get("/health")
                seconds.append(time.monotonic() - start)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seconds
    finally:
        over.set()
        thread.join()


def test_writers_at_once_get_their_responses_soon(server: Server) -> None:
    with lags(server.address) as seconds, ThreadPoolExecutor(WRITERS) as pool:
        longest = max(pool.map(write, [server.address] * WRITERS))
    print(f"longest response {longest:.2f} s, longest lag of the loop {max(seconds):.2f} s")
    assert longest < LONGEST
    assert max(seconds) < LONGEST
    with closing(sqlite3.connect(server.log.with_name("prefect.db"))) as database:
        (runs,) = database.execute("SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'").fetchone()
        (logs,) = database.execute("SELECT count(*) FROM log").fetchone()
    assert (runs, logs) == (WRITERS * RUNS, WRITERS * RUNS * 20)


def test_a_lock_of_another_process_costs_a_request_seconds_and_other_requests_nothing(server: Server) -> None:
    database = server.log.with_name("prefect.db")
    with (
        closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as other,
        lags(server.address) as seconds,
        signed_in(server.address, timeout=90) as client,
    ):
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(HELD, other.close)
        body = {"name": "waits"}
        release.start()
        start = time.monotonic()
        response = client.post("/flows/", json=body)
        waited = time.monotonic() - start
        release.join()
    assert response.status_code == 201
    assert HELD / 2 < waited < LONGEST
    assert max(seconds) < HELD / 2


@pytest.mark.slow
def test_servers_that_begin_at_once_on_a_new_database_all_serve(tmp_path: Path) -> None:
    def begin(_: int) -> int:
        with (
            prefect_server(tmp_path, port_near(0), ephemeral=True) as server,
            signed_in(server.address) as client,
        ):
            return client.post("/flows/filter", json={}).status_code

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(begin, range(2))) == [200, 200]
