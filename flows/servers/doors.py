"""Refusal of requests that come by another name than the server's own, or from another site's page.

A page of another site may send requests to 127.0.0.1: they have a foreign ``Origin``. It may also give
127.0.0.1 a name of its own, to read the responses too (DNS rebinding): they have a foreign ``Host``.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from flows.servers.retrying import App, Message, Receive, Send

ADDRESSES = "BRAID_SERVER_ADDRESSES"
"""Variable with the addresses that a server answers to, commas between."""


def own_addresses(port: int, page: str | None) -> list[str]:
    """Return the addresses under which a server on 127.0.0.1 is reached.

    Args:
        port: Its port.
        page: Address that a proxy gives its pages, if there is a proxy.
    """
    local = [f"http://{host}:{port}" for host in ("127.0.0.1", "localhost")]
    return local + ([_origin(page)] if page else [])


def hosts_of(addresses: Iterable[str]) -> list[str]:
    """Return the values of ``Host`` that belong to addresses."""
    return [urlsplit(address).netloc for address in addresses]


def guarded(app: App, addresses: Iterable[str], pages: Mapping[str, bytes]) -> App:
    """Wrap an application so that it answers only to its own addresses.

    Args:
        app: An ASGI application.
        addresses: Addresses of the application, without a path.
        pages: HTML pages besides those of the application, by path.
    """
    origins = {address.lower() for address in addresses}
    hosts = set(hosts_of(origins))

    async def respond(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        given_hosts, given_origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(given_hosts) != 1 or not hosts.issuperset(given_hosts):
            await _refuse(scope, send, f"no host of this server: {', '.join(given_hosts)}", origins)
        elif not origins.issuperset(given_origins):
            await _refuse(scope, send, f"a page of another site: {', '.join(given_origins)}", origins)
        elif scope["type"] == "http" and scope["method"] == "GET" and scope["path"] in pages:
            await _send(send, 200, b"text/html", pages[scope["path"]])
        else:
            await app(scope, receive, _unframed(send))

    return respond


def _values(scope: Message, name: bytes) -> list[str]:
    return [value.decode("latin-1").lower() for header, value in scope["headers"] if header == name]


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _unframed(send: Send) -> Send:
    """Keep other sites from showing a page in a frame of theirs, where a click is not what it seems."""

    async def send_unframed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", []), (b"content-security-policy", b"frame-ancestors 'none'")]
            message = {**message, "headers": headers}
        await send(message)

    return send_unframed


async def _refuse(scope: Message, send: Send, why: str, origins: Iterable[str]) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    text = (
        f"Refused: {why}. This server answers to {', '.join(sorted(origins))}; PREFECT_UI_URL adds a proxy's."
    )
    await _send(send, 403, b"text/plain", text.encode())


async def _send(send: Send, status: int, kind: bytes, body: bytes) -> None:
    headers = [
        (b"content-type", kind + b"; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (
            b"content-security-policy",
            b"default-src 'none'; script-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
