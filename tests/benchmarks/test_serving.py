"""The load test counts what was asked, and does not take a refusal for an answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from benchmarks.serving import Load, ask

PAUSE = 0.05  # seconds that an answer takes


class Answering(BaseHTTPRequestHandler):
    """Answers after a pause; refuses what says so."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes]
    busy = 0
    most = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).bodies.append(body)
        type(self).busy += 1
        type(self).most = max(self.most, self.busy)
        time.sleep(PAUSE)
        type(self).busy -= 1
        self.send_response(400 if body == b"refuse" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Answering.bodies, Answering.busy, Answering.most = [], 0, 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/invocations"
    server.shutdown()
    server.server_close()


def test_so_many_are_asked_by_so_many_at_once(url: str) -> None:
    load = ask(url, [b"a", b"b"], clients=4, seconds=30, most=12)
    assert len(load.seconds) == len(Answering.bodies) == 12
    assert sorted(Answering.bodies) == [b"a"] * 6 + [b"b"] * 6
    assert 1 < Answering.most <= 4
    assert min(load.seconds) >= PAUSE
    assert load.elapsed >= 3 * PAUSE, "12 by 4 at once are three after each other"
    assert load.rate == pytest.approx(12 / load.elapsed)


def test_none_begins_after_the_time(url: str) -> None:
    load = ask(url, [b"a"], clients=1, seconds=4.5 * PAUSE, most=1000)
    assert 1 <= len(load.seconds) <= 5


def test_a_refusal_is_raised(url: str) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        ask(url, [b"a", b"refuse"], clients=2, seconds=5, most=10)


def test_percentiles_are_milliseconds() -> None:
    load = Load(tuple(number / 1000 for number in range(1, 101)), elapsed=2.0)
    assert load.milliseconds(50) == pytest.approx(50.5)
    assert load.milliseconds(99) == pytest.approx(99.01)
    assert load.rate == 50
