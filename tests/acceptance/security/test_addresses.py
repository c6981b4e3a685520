"""Addresses that may be read: allowed schemes and hosts, nothing private, bounded in size and time."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.data.files.location import filesystem, read_bytes, version
from components.data.files.media_index import look
from components.data.files.policy import policy


class Pages(http.server.BaseHTTPRequestHandler):
    """A file, redirections, and answers that do not end."""

    def do_GET(self) -> None:
        route = self.path.partition("?")[0]
        self.server.asked.append((self.path, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        if route == "/file":
            self._answer(200, b"content", {"ETag": "a1", "Content-Length": "7"})
        elif route == "/elsewhere":
            port = self.server.server_address[1]
            self._answer(302, b"", {"Location": f"http://127.0.0.1:{port}/file", "Content-Length": "0"})
        elif route == "/local":
            self._answer(302, b"", {"Location": "file:///etc/passwd", "Content-Length": "0"})
        elif route == "/round":
            self._answer(302, b"", {"Location": "/round", "Content-Length": "0"})
        elif route == "/large":
            self._answer(200, b"", {"Content-Length": str(10**12)})
        elif route in ("/endless", "/slow"):
            self._answer(200, b"", {"Connection": "close"})
            while True:
                self.wfile.write(b"x" * (2**16 if route == "/endless" else 1))
                time.sleep(0 if route == "/endless" else 0.05)
        else:
            self._answer(404, b"", {"Content-Length": "0"})

    do_HEAD = do_GET  # noqa: N815  (http.server calls it so)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if self.command == "GET" else b"")

    def log_message(self, *arguments: Any) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client hangs up, as it should
            super().handle()


@pytest.fixture(scope="module")
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as running:
        running.asked = []  # type: ignore[attr-defined]
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()


@pytest.fixture
def url(server: http.server.ThreadingHTTPServer) -> str:
    return f"http://localhost:{server.server_address[1]}"


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAID_URL_SCHEMES", "http,https")
    monkeypatch.setenv("BRAID_URL_PRIVATE", "1")


def test_by_default_plain_http_is_not_asked(url: str, server: Any) -> None:
    before = len(server.asked)
    with pytest.raises(PermissionError, match=r"http:// are not allowed \(BRAID_URL_SCHEMES"):
        read_bytes(f"{url}/file")
    assert len(server.asked) == before


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_not_asked(host: str, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAID_URL_SCHEMES", "http")
    before = len(server.asked)
    with pytest.raises(OSError, match=r"private address|not known|Name or service|not supported|No address"):
        read_bytes(f"http://{host}:{server.server_address[1]}/file")
    assert len(server.asked) == before


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "0.0.0.0",
        "127.8.8.8", "fd00::1", "fe80::1", "::", "::1", "::ffff:10.0.0.1",
        "::127.0.0.1", "::7f00:1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1",
        "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:c0a8:101::1", "2001:0:7f00:1::", "2001::80ff:fffe",
        "fec0::1", "100::1", "2001:db8::1", "ff02::1", "::%lo", "fe80::1%eth0",
    ],
)  # fmt: skip
def test_a_name_that_leads_to_a_private_address_is_not_asked(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: answers)
    with pytest.raises(PermissionError, match="has the private address"):
        read_bytes("https://data.example.org/picture.png")


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in ("93.184.216.34", "10.1.1.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: answers)
    with pytest.raises(PermissionError, match=r"10\.1\.1\.1"):
        policy().address("data.example.org", 443)


def test_what_is_allowed_is_read(url: str, trusting: None) -> None:
    assert read_bytes(f"{url}/file") == b"content"
    assert version(f"{url}/file") == "7-a1"
    with pytest.raises(FileNotFoundError):
        read_bytes(f"{url}/nothing")
    assert look((f"{url}/nothing", "image"))[1].reason == "no such file"


def test_a_login_in_the_address_is_sent_as_such(url: str, trusting: None, server: Any) -> None:
    read_bytes(f"{url.replace('//', '//reader:pass@')}/file")
    assert server.asked[-1][1] == "Basic cmVhZGVyOnBhc3M="


@pytest.mark.usefixtures("trusting")
class TestBounds:
    def test_hosts_may_be_listed(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BRAID_URL_HOSTS", "*.example.org, localhost")
        assert read_bytes(f"{url}/file") == b"content"
        with pytest.raises(PermissionError, match=r"'127\.0\.0\.1' is not among BRAID_URL_HOSTS"):
            read_bytes(f"{url.replace('localhost', '127.0.0.1')}/file")

    def test_a_redirection_leads_nowhere_else(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assert read_bytes(f"{url}/elsewhere") == b"content"
        monkeypatch.setenv("BRAID_URL_HOSTS", "localhost")
        with pytest.raises(PermissionError, match="BRAID_URL_HOSTS"):
            read_bytes(f"{url}/elsewhere")

    def test_a_redirection_to_a_file_is_refused(self, url: str) -> None:
        with pytest.raises(PermissionError, match="file:// are not allowed"):
            read_bytes(f"{url}/local")

    def test_a_circle_ends(self, url: str) -> None:
        with pytest.raises(OSError, match="redirections"):
            read_bytes(f"{url}/round")

    @pytest.mark.parametrize("page", ["large", "endless"])
    def test_a_large_file_is_cut_short(self, url: str, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BRAID_MOST_MEGABYTES", "1")
        with pytest.raises(OSError, match="larger than 1 MB"):
            read_bytes(f"{url}/{page}")

    def test_a_slow_one_is_given_up(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BRAID_URL_SECONDS", "0.5")
        started = time.monotonic()
        with pytest.raises(OSError, match="takes too long"):
            read_bytes(f"{url}/slow")
        assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "chained",
    [
        "simplecache::https://x.org/a", "zip://a.csv::https://x.org/a.zip", "reference://::s3://b/a",
        "file:/etc/passwd", "memory://a", "ftp://x.org/a", "github://a:b@/c", "data://x",
        "local:///etc/passwd", "hf://x/y", "FILE:///x",
    ],
)  # fmt: skip
def test_other_kinds_of_addresses_are_refused(chained: str) -> None:
    if "://" in chained:
        with pytest.raises(PermissionError, match="are not allowed"):
            filesystem(chained)
    else:
        assert look((chained, "image"))[1].reason == "no such file"


def test_large_local_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAID_MOST_MEGABYTES", "1")
    (tmp_path / "large.png").write_bytes(bytes(2**20 + 1))
    with pytest.raises(OSError, match="larger than 1 MB"):
        read_bytes(str(tmp_path / "large.png"))
    assert "larger than 1 MB" in str(look((str(tmp_path / "large.png"), "image"))[1].reason)
