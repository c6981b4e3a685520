"""Proxies of the environment are for other machines: a dead one does not hinder braid's own servers."""

import asyncio
import os
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
import requests
from prefect.client.base import PrefectHttpxAsyncClient

from components.runtime.environ import variables
from flows.process_settings import configure_process

DEAD = "http://127.0.0.1:9"  # nobody listens there
PROXIES = [
    {"HTTP_PROXY": DEAD, "HTTPS_PROXY": DEAD},
    {"http_proxy": DEAD, "https_proxy": DEAD},
    {"ALL_PROXY": DEAD},
    {"all_proxy": "127.0.0.1:9", "NO_PROXY": "example.org"},
    {"HTTP_PROXY": DEAD, "no_proxy": "example.org", "NO_PROXY": "internal"},
    {"ALL_PROXY": "socks5://127.0.0.1:9"},
    {"all_proxy": "socks5h://127.0.0.1:9", "http_proxy": DEAD},
]
VARIABLES = [f"{kind}_proxy" for kind in ("http", "https", "all", "no")]
VARIABLES += [name.upper() for name in VARIABLES]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    class Here(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"here")

        def log_message(self, *arguments: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Here)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def _ask(address: str) -> set[str]:
    """Return the responses that the clients of Prefect, of MLflow and of Python get."""

    async def ask() -> str:
        async with PrefectHttpxAsyncClient(base_url=address) as client:
            return (await client.get("/")).text

    plain = urllib.request.urlopen(address).read().decode()
    return {plain, httpx.get(address).text, requests.get(address).text, asyncio.run(ask())}


@pytest.mark.parametrize("proxies", PROXIES, ids=str)
def test_servers_of_this_machine_are_reached_directly(port: int, proxies: dict[str, str]) -> None:
    if any("socks" in value for value in proxies.values()):
        pytest.importorskip("socksio", reason="httpx[socks] is not installed")
    with variables({**dict.fromkeys(VARIABLES), **proxies}):
        configure_process()
        assert _ask(f"http://127.0.0.1:{port}") == _ask(f"http://localhost:{port}") == {"here"}
        given = {value for name, value in proxies.items() if name.lower() == "no_proxy"}
        for name in ("no_proxy", "NO_PROXY"):
            assert set(os.environ[name].split(",")) == {"127.0.0.1", "localhost", "::1", *given}


def test_all_may_be_excepted_and_nothing_is_set_without_a_proxy() -> None:
    with variables({**dict.fromkeys(VARIABLES), "HTTP_PROXY": DEAD, "NO_PROXY": "*"}):
        configure_process()
        assert os.environ["no_proxy"] == "*"
    with variables(dict.fromkeys(VARIABLES)):
        configure_process()
        assert "no_proxy" not in os.environ
