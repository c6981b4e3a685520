"""A request that gets 503 is tried again, and so is work that finds its database locked; nothing else is."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from flows.servers.retrying import TRIES, is_repeated, retrying, until_unlocked


class Server:
    """Answers with these status codes in turn, the last for ever, and remembers the bodies it was sent."""

    def __init__(self, codes: Sequence[int]) -> None:
        self.codes = list(codes)
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(body)
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        await send({"type": "http.response.start", "status": code, "headers": []})
        await send({"type": "http.response.body", "body": str(code).encode()})
        if code == 503:
            raise RuntimeError("database is locked")  # as starlette does after its answer


def ask(server: Server) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(retrying(server))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.post("/", content=b"the request")

    return asyncio.run(asked())


def test_it_is_asked_again_with_the_same_body_until_it_is_not_busy() -> None:
    server = Server([503, 503, 201])
    answer = ask(server)
    assert (answer.status_code, answer.text) == (201, "201")
    assert server.bodies == [b"the request"] * 3


@pytest.mark.parametrize("code", [200, 404, 409, 500])
def test_other_answers_come_at_once(code: int) -> None:
    server = Server([code])
    assert ask(server).status_code == code
    assert len(server.bodies) == 1


def test_who_stays_busy_says_so_in_the_end() -> None:
    server = Server([503])
    with pytest.raises(RuntimeError, match="locked"):  # for the server's log
        ask(server)
    assert len(server.bodies) == TRIES


def test_work_is_repeated_until_its_database_is_free_and_takes_the_lock_as_it_begins() -> None:
    marks: list[bool] = []

    async def work(value: int) -> int:
        marks.append(is_repeated.get())
        if len(marks) < 3:
            raise sqlite3.OperationalError("database is locked")
        return value

    async def call() -> tuple[int, bool]:
        return await until_unlocked(work)(7), is_repeated.get()

    assert asyncio.run(call()) == (7, False)
    assert marks == [False, True, True]


def test_work_that_fails_otherwise_is_not_repeated() -> None:
    calls: list[int] = []

    async def work() -> None:
        calls.append(1)
        raise sqlite3.OperationalError("no such table: run")

    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        asyncio.run(until_unlocked(work)())
    assert len(calls) == 1


def test_work_whose_database_stays_locked_fails_in_the_end() -> None:
    calls: list[int] = []

    async def work() -> None:
        calls.append(1)
        raise sqlite3.OperationalError("database is locked")

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        asyncio.run(until_unlocked(work)())
    assert len(calls) == TRIES
