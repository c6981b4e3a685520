"""Progress reaches the file also where the dashboard cannot be told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tasks import progress
from tasks.progress import Progress, Standing, seconds_by_input


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
    steps = Progress(Place(tmp_path), "fit image")
    steps(1, 1, "loss 0.5")
    steps.finish("best in epoch 1")
    assert len(asked) == 1
    result = json.loads((tmp_path / "progress" / "fit-image.json").read_text())
    assert result["finished"]
    assert result["note"] == "best in epoch 1"


def write_standing(run: Path, step: str, seconds: float, finished: bool = True) -> None:
    folder = run / "progress"
    folder.mkdir(parents=True, exist_ok=True)
    standing = asdict(Standing(step, 1, 1, "", finished, seconds))
    (folder / f"{step.replace(' ', '-')}.json").write_text(json.dumps(standing))


def test_what_steps_took_is_read_from_the_runs_that_did_them(tmp_path: Path) -> None:
    first, second = tmp_path / "birds-20260101-000000-aaaa", tmp_path / "birds-20260102-000000-bbbb"
    write_standing(first, "fit picture", 40.0)
    write_standing(first, "extract picture", 2.0)
    write_standing(first, "fit sound", 5.0)
    write_standing(second, "fit picture", 0.1)  # it was in the cache
    write_standing(second, "fit sound", 6.0)
    write_standing(tmp_path / "birds-big-20260103-000000-cccc", "fit sound", 900.0)
    assert seconds_by_input(tmp_path, "birds") == {"picture": 42.0, "sound": 6.0}
    assert seconds_by_input(tmp_path, "fish") == {}
