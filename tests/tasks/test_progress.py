"""Progress reaches the file also where the dashboard cannot be told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tasks import progress
from tasks.progress import Progress


@dataclass(frozen=True)
class Place:
    folder: Path


def test_a_dashboard_that_is_gone_is_asked_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def gone(*arguments: object, **named: object) -> None:
        asked.append(named)
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(progress, "create_progress_artifact", lambda *_, **__: uuid4())
    monkeypatch.setattr(progress, "update_progress_artifact", gone)
    told = Progress(Place(tmp_path), "fit image")
    told(1, 1, "loss 0.5")
    told.finish("best in epoch 1")
    assert len(asked) == 1
    found = json.loads((tmp_path / "progress" / "fit-image.json").read_text())
    assert found["finished"]
    assert found["note"] == "best in epoch 1"
