"""Repetition of what SQLite refuses: a request to Prefect's server, or the work of one of its services.

SQLite lets one transaction write. Two that have read and then write cannot wait for each other. SQLite
refuses one at once ("database is locked"), and Prefect responds with 503. Prefect's Python client tries
again; a browser, ``curl`` and Prefect's own services do not.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")

BUSY = 503
TRIES = 8
_WAIT = 0.05  # seconds before the second try; doubles
_LOCKED = "database is locked"

is_repeated: ContextVar[bool] = ContextVar("is_repeated", default=False)
"""True in the second and later tries: their transactions take the lock as they begin, and so wait for it."""


def retrying(app: App) -> App:
    """Wrap an application so that a request is tried again where ``app`` responds with 503.

    Args:
        app: An ASGI application. It gets each request up to ``TRIES`` times.
    """

    async def respond(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request = await _whole(receive)
        if await _try(app, scope, request, receive, send):
            return
        with _repeated():
            for seconds in _waits():
                await asyncio.sleep(seconds)
                if await _try(app, scope, request, receive, send):
                    return
            await app(scope, _replayed(request, receive), send)

    return respond


def until_unlocked(
    work: Callable[Arguments, Awaitable[Returned]],
) -> Callable[Arguments, Awaitable[Returned]]:
    """Wrap a coroutine function so that it is called again where its database is locked.

    Args:
        work: Opens its own transaction, so that a failed call leaves nothing. It is called up to ``TRIES``
            times.
    """

    @wraps(work)
    async def repeat(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        with _unless_locked():
            return await work(*args, **kwargs)
        with _repeated():
            for seconds in _waits():
                await asyncio.sleep(seconds)
                with _unless_locked():
                    return await work(*args, **kwargs)
            return await work(*args, **kwargs)

    return repeat


@contextmanager
def _unless_locked() -> Iterator[None]:
    """Leave the block where its database is locked."""
    try:
        yield
    except Exception as error:
        if _LOCKED not in str(error):
            raise


@contextmanager
def _repeated() -> Iterator[None]:
    """Mark the block as one of repeated tries."""
    token = is_repeated.set(True)
    try:
        yield
    finally:
        is_repeated.reset(token)


def _waits() -> Iterator[float]:
    """Yield the seconds before each try between the first and the last; random, so that two rivals part."""
    for attempt in range(1, TRIES - 1):
        yield _WAIT * 2**attempt * random.random()


async def _try(app: App, scope: Message, request: list[Message], receive: Receive, send: Send) -> bool:
    """Send the response of ``app`` unless it is 503, and return whether it was sent."""
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
        if not busy:  # else the 503 was made of it: starlette raises it after its response
            raise
    return not busy


async def _whole(receive: Receive) -> list[Message]:
    """Receive all messages of a request."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _replayed(request: list[Message], receive: Receive) -> Receive:
    """Return a receiver that repeats the request, then gives what comes after it: the client's leaving."""
    left = iter(request)

    async def next_one() -> Message:
        for message in left:
            return message
        return await receive()

    return next_one
