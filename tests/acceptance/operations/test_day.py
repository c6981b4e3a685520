"""Events of a day: schedules, many runs at once, processes that die, drift, and somebody who is told.

These wait for clocks: `make test-slow`.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from mlflow.entities import Run

from tests.acceptance.e2e.project import make_project, write_manifest, write_noisy_manifest
from tests.acceptance.operations.conftest import FINAL, Up, running, until, write_operations

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
AT_ONCE = 8
SILENCE = 45


class Webhook:
    """A server on this machine that is told of failures."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                webhook.messages.append(json.loads(self.rfile.read(length)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/told"


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    receiver = Webhook()
    yield receiver
    receiver.server.shutdown()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, webhook: Webhook) -> Iterator[Up]:
    project = make_project(tmp_path_factory.mktemp("day"))
    schedule = {"name": "every-minute", "cron": "* * * * *", "timezone": "Europe/Vienna", "active": False}
    write_operations(
        project,
        silence=SILENCE,
        retrain={"files": ["tiny.yaml"], "schedules": [schedule]},
        notification={"kind": "webhook", "url": webhook.address},
    )
    with running(project) as up:
        yield up


def test_a_schedule_fires_by_itself_and_the_second_run_extracts_nothing(day: Up) -> None:
    deployment = day.deployment("retrain")
    (schedule,) = deployment["schedules"]
    assert schedule["schedule"]["timezone"] == "Europe/Vienna"
    schedule_path = f"deployments/{deployment['id']}/schedules/{schedule['id']}"
    day.api("PATCH", schedule_path, active=True)

    def two_ended() -> list[str] | None:
        ended = [run["id"] for run in day.runs_of("retrain") if run["state_type"] in FINAL]
        return ended if len(ended) >= 2 else None

    first, second = until(two_ended, 300, "two scheduled runs")[:2]
    day.api("PATCH", schedule_path, active=False)
    until(lambda: not any(_waits(run) for run in day.runs_of("retrain")), 120, "the end of a third run")
    runs = [day.mlflow_run(run) for run in (first, second)]
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
    assert [extracted(run) > 0 for run in runs] == [True, False]
    assert "auto-scheduled" in next(run for run in day.runs_of("retrain") if run["id"] == first)["tags"]


def test_eight_runs_at_once_all_end_one_after_another_with_one_champion(day: Up) -> None:
    before = len(day.mlflow.search_model_versions("name = 'tiny'"))
    seeds = range(100, 100 + AT_ONCE)
    runs = [day.trigger("retrain", changes={"seed": seed, "epochs": 3}) for seed in seeds]
    ends = [day.end_of(run, 900) for run in runs]
    assert {end["type"] for end in ends} == {"COMPLETED"}
    spans = sorted(
        (run["start_time"], run["end_time"]) for run in day.runs_of("retrain") if run["id"] in runs
    )
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans))  # limit 1
    parents = [day.mlflow_run(run) for run in runs]
    assert {parent.info.status for parent in parents} == {"FINISHED"}
    assert {parent.data.params["seed"] for parent in parents} == set(map(str, seeds))
    assert len(day.mlflow.search_model_versions("name = 'tiny'")) == before + AT_ONCE
    champion = day.mlflow.get_model_version_by_alias("tiny", "champion")
    beaten = json.loads(day.mlflow.get_registered_model("tiny").tags["braid.champions"])
    assert beaten[-1] == champion.version
    assert len(beaten) == len(set(beaten))
    logs = day.api("POST", "logs/filter", logs={"flow_run_id": {"any_": runs}}, limit=200)
    assert logs
    assert not [log["message"] for log in logs if "locked" in log["message"]]


def test_a_run_whose_process_is_killed_is_crashed_by_its_silence_and_retried_from_the_cache(
    day: Up, webhook: Webhook
) -> None:
    """The process that serves is stopped meanwhile, so that nobody but the heartbeat can notice."""
    run = day.trigger("retrain", changes={"epochs": 300, "seed": 7}, overrides=["training.patience=null"])
    until(lambda: day.begun(run, "fit-fusion"), 240, "fit-fusion")
    process = day.process_of(run)
    serving = process.parent()
    assert serving is not None
    serving.suspend()
    began = datetime.now(UTC)
    for each in (*process.children(recursive=True), process):
        each.kill()
    assert day.end_of(run, 120)["type"] == "CRASHED"
    assert (datetime.now(UTC) - began).total_seconds() < 120
    assert "no sign of life" in day.state(run)["message"]
    serving.resume()
    until(lambda: [each for each in webhook.messages if "Crashed" in each["subject"]], 60, "a message")

    day.set_state(run, "SCHEDULED", "AwaitingRetry")
    until(lambda: day.state(run)["type"] not in (*FINAL, "SCHEDULED"), 120, "the retry")
    assert day.end_of(run, 400)["type"] == "COMPLETED"
    parent = day.mlflow_run(run)  # exactly one
    assert parent.info.status == "FINISHED"
    folder = day.project.workspace / "runs" / parent.data.tags["braid.key"] / "progress"
    assert "0 of" in json.loads((folder / "extract-picture.json").read_text())["note"]


def test_drift_starts_a_retraining_of_the_model_and_undisturbed_rows_start_none(
    day: Up, webhook: Webhook
) -> None:
    later = day.project.folder / "later"
    write_manifest(later, 200, seed=1)
    tables = {"quiet": later / "manifest.csv", "noisy": write_noisy_manifest(later)}
    before = {run["id"] for run in day.runs_of("retrain")}
    verdicts = {}
    for name, table in tables.items():
        run = day.trigger("monitor", config={"model": "tiny", "manifest": str(table)})
        assert day.end_of(run)["type"] == "COMPLETED"
        verdicts[name] = day.mlflow_run(run).data.tags["drifted_inputs"]
    assert verdicts == {"quiet": "", "noisy": "sound"}

    def started() -> list[dict[str, Any]]:
        return [run for run in day.runs_of("retrain") if run["id"] not in before]

    until(started, 60, "a retraining")
    (own,) = started()  # of the drift; had the quiet rows started one, it would have come first
    assert own["created_by"]["type"] == "AUTOMATION"
    assert own["parameters"]["config"] == str(day.project.config)
    assert day.end_of(own["id"])["type"] == "COMPLETED"
    assert day.mlflow_run(own["id"]).info.status == "FINISHED"
    subjects = [message["subject"] for message in webhook.messages]
    assert subjects.count("braid: drift") == 1


def extracted(run: Run) -> float:
    """Rows of all inputs that a run extracted."""
    return sum(value for name, value in run.data.metrics.items() if name.startswith("extracted_rows_"))


def _waits(run: dict[str, str]) -> bool:
    """Tell whether a run is at work, or due."""
    due = datetime.fromisoformat(run["expected_start_time"]) <= datetime.now(UTC)
    return run["state_type"] not in FINAL and (due or run["state_type"] != "SCHEDULED")
