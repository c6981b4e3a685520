"""A worker process is prepared once for all of its steps."""

from __future__ import annotations

import ssl
from typing import Any

import prefect.client.orchestration as orchestration
import pytest
from prefect.client.orchestration import SyncPrefectClient

from flows.prefect_internals.runs import share_certificates


def test_clients_read_certificates_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[dict[str, Any]] = []
    create = ssl.create_default_context

    def note(**arguments: Any) -> ssl.SSLContext:
        read.append(arguments)
        return create(**arguments)

    monkeypatch.setattr(ssl, "create_default_context", note)
    monkeypatch.setattr(orchestration, "ssl", ssl)  # given back after the test
    SyncPrefectClient("http://127.0.0.1:1/api")
    share_certificates()
    assert len(read) == 1
    for _ in range(3):
        SyncPrefectClient("http://127.0.0.1:1/api")
    assert len(read) == 2
