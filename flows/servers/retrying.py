"""Prefect's server on SQLite, whose answer 503 is asked for again before anybody gets it.

SQLite lets one transaction write. Where two that have read want to, one is sent away at once ("database is
locked"), and Prefect answers 503. Prefect's Python client tries again; a browser and ``curl`` do not.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from flows.workers.imports import imported

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

BUSY = 503
TRIES = 8
_WAIT = 0.05  # seconds before the second try; doubles


def create_app() -> App:
    """What uvicorn serves."""
    imported(["prefect.server.api.server"])
    from prefect.server.api.server import create_app as prefect_app

    return patient(prefect_app())


def patient(app: App) -> App:
    """An application that tries a request again where ``app`` answers 503, up to ``TRIES`` times in all."""

    async def answered(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request = await _whole(receive)
        for again in range(1, TRIES):
            if await _try(app, scope, request, receive, send):
                return
            await asyncio.sleep(_WAIT * 2**again * random.random())
        await app(scope, _replayed(request, receive), send)

    return answered


async def _try(app: App, scope: Message, request: list[Message], receive: Receive, send: Send) -> bool:
    """Whether the answer was another than 503; only then was it sent."""
    busy = False

    async def unless_busy(message: Message) -> None:
        nonlocal busy
        if message["type"] == "http.response.start":
            busy = message["status"] == BUSY
        if not busy:
            await send(message)

    try:
        await app({**scope}, _replayed(request, receive), unless_busy)
    except Exception:
        if not busy:  # else it is what the 503 was made of: starlette raises it after its answer
            raise
    return not busy


async def _whole(receive: Receive) -> list[Message]:
    """All messages of a request."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _replayed(request: list[Message], receive: Receive) -> Receive:
    """The same request once more, then whatever comes after it: the client's leaving."""
    left = iter(request)

    async def next_one() -> Message:
        for message in left:
            return message
        return await receive()

    return next_one
