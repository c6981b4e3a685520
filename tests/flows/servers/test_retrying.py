"""An answer 503 is asked for again; everything else goes through as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from flows.servers.retrying import TRIES, patient


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
        transport = httpx.ASGITransport(patient(server))
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
