"""Prefect's server answers its own host and origin alone, and only who knows the password."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from components.errors import BraidError
from flows.servers.doors import guarded, own_addresses
from flows.servers.password import kept_password, new_password, stored_password
from flows.servers.processes import Server
from flows.servers.retrying import Message, Receive, Send
from tests.prefect_api import basic, signed_in

FOREIGN = ("https://evil.example", "http://127.0.0.1:9", "null", "http://127.0.0.1.evil.example", "")


@pytest.fixture(scope="module")
def server(prefect: Server) -> Server:
    """A server as ``braid run`` starts it."""
    return prefect


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with signed_in(server.address, str(server.password)) as session:
        yield session


def test_without_the_password_nothing_is_read_or_changed(server: Server, client: httpx.Client) -> None:
    flows = client.post("/flows/count", json={}).json()
    token = {name: client.headers[name] for name in ("prefect-csrf-client", "prefect-csrf-token")}
    for headers in ({}, basic("braid:guessed"), {"Authorization": "Bearer x"}):
        ask = {"headers": {**token, **headers}, "trust_env": False}
        assert httpx.get(f"{server.address}/admin/version", **ask).status_code == 401  # type: ignore[arg-type]
        for path in ("deployments/filter", "block_documents/filter", "flows/"):
            response = httpx.post(f"{server.address}/{path}", json={"name": "x"}, **ask)  # type: ignore[arg-type]
            assert response.status_code == 401
    assert client.post("/flows/count", json={}).json() == flows


def test_a_change_without_a_token_against_forged_requests_is_refused(server: Server) -> None:
    ask = {"headers": basic(str(server.password)), "trust_env": False}
    assert httpx.post(f"{server.address}/flows/", json={"name": "x"}, **ask).status_code == 403  # type: ignore[arg-type]


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_another_site_is_refused_even_with_the_password(client: httpx.Client, origin: str) -> None:
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for response in (
        client.options("/deployments/filter", headers=preflight),
        client.post("/flows/", json={"name": "x"}, headers={"Origin": origin}),
        client.get("/health", headers={"Origin": origin}),
    ):
        assert response.status_code == 403
        assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}"]
)
def test_another_name_of_the_machine_is_refused(server: Server, client: httpx.Client, host: str) -> None:
    named = {"Host": host.format(port=httpx.URL(server.address).port)}
    assert client.get("/health", headers=named).status_code == 403
    assert client.get(str(client.base_url.join("/")), headers=named).status_code == 403


def test_its_own_pages_are_answered(server: Server, client: httpx.Client) -> None:
    own = server.address.removesuffix("/api")
    assert client.post("/flows/count", json={}, headers={"Origin": own}).status_code == 200
    assert client.get("/health").headers["content-security-policy"] == "frame-ancestors 'none'"


def test_events_are_told_to_nobody_else(server: Server) -> None:
    address = server.address.replace("http", "ws", 1) + "/events/out"

    async def first_reply(password: str, **options: Any) -> Any:
        async with (
            asyncio.timeout(20),
            connect(address, subprotocols=["prefect"], proxy=None, **options) as socket,
        ):  # type: ignore[list-item]
            await socket.send(json.dumps({"type": "auth", "token": password}))
            return json.loads(await socket.recv())["type"]

    assert asyncio.run(first_reply(str(server.password))) == "auth_success"
    for password, origin in (("guessed", None), (str(server.password), "https://evil.example")):
        with pytest.raises(WebSocketException):
            asyncio.run(first_reply(password, origin=origin))


def test_the_name_that_a_proxy_gives_is_answered_too() -> None:
    paths: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})

    async def status(host: str, origin: str) -> int:
        wrapped = guarded(app, own_addresses(4200, "https://Braid.example.org/prefect"), {})
        transport = httpx.ASGITransport(wrapped)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport) as client:
            headers = {"Host": host, "Origin": origin}
            return (await client.get("http://x/", headers=headers)).status_code

    assert asyncio.run(status("braid.example.org", "https://braid.example.org")) == 200
    assert asyncio.run(status("localhost:4200", "http://localhost:4200")) == 200
    assert asyncio.run(status("braid.example.org", "http://braid.example.org")) == 403
    assert asyncio.run(status("example.org", "https://braid.example.org")) == 403
    assert len(paths) == 2


class TestPassword:
    @pytest.fixture(autouse=True)
    def _nothing_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
        monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)

    def test_one_command_has_a_new_one(self) -> None:
        assert new_password() != new_password()
        assert len(new_password()) > 40

    def test_braid_up_has_that_of_last_time_for_the_owner_alone(self, tmp_path: Path) -> None:
        made = kept_password(tmp_path)
        assert kept_password(tmp_path) == stored_password(tmp_path) == made
        assert stat.S_IMODE((tmp_path / "prefect-password").stat().st_mode) == 0o600

    def test_one_that_is_given_takes_its_place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        kept_password(tmp_path)
        monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "me:mine")
        assert kept_password(tmp_path) == stored_password(tmp_path) == "me:mine"

    def test_who_may_not_read_it_is_told_so(self, tmp_path: Path) -> None:
        with suppress(OSError):
            (tmp_path / "prefect-password").symlink_to(tmp_path / "prefect-password")
        with pytest.raises(BraidError, match="cannot be read"):
            stored_password(tmp_path)


def test_logs_and_databases_are_for_the_owner_alone(server: Server) -> None:
    files = [file for file in server.log.parent.iterdir() if file.name.startswith("prefect")]
    assert {file.name for file in files} >= {"prefect.db", "prefect-server.log"}
    assert [file.name for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077] == []


def test_the_password_is_in_no_argument(server: Server) -> None:
    words = [Path(f"/proc/{server.process.pid}/cmdline")]
    assert all(str(server.password).encode() not in file.read_bytes() for file in words)
