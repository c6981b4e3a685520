"""The terminal shows what a result says, as text and never as markup, and JSON says the same to programs."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from components.config.score import ScoreConfig
from components.pipeline.basis import NoRetraining
from components.promotion.verdict import Verdict
from components.references import Missing
from components.results.table import Table, number, text
from components.retrieval.search import Hit
from components.scoring.job import Job, Model
from flows.cli import json_output, tables, terminal
from flows.distill import Distilled
from flows.monitor import Monitored
from flows.reproduce import Reproduced
from flows.retrain import Outcome
from flows.score import Scored
from flows.sweep import SweepOutcome
from tasks.promote import Evidence, Promotion, Registered
from tasks.tracking.registry import Version
from tests.components.small_results import (
    COMPARISON,
    DISTILLATION,
    DRIFT,
    RANKING,
    RESULTS,
    RETRIEVALS,
    SUMMARY,
    VERDICT,
)

VERSION = Version("tiny", "3", "run")
REGISTERED = Registered(VERSION, True, "better by far", VERDICT, "champion")
MODEL = Model("tiny", "3", "run", "bundle")
JOB = Job("job", "/scores", ScoreConfig(model="tiny", manifest="new.csv"), MODEL)

OUTCOME = Outcome(
    key="tiny-1",
    mlflow_run="abc",
    evaluation=RESULTS["evaluation"],  # type: ignore[arg-type]
    further=(),
    registered=REGISTERED,
    report=Path("/report.html"),
    extracted={"picture": 0},
    retrieval=RETRIEVALS,
    missing=(),
)
ENDED = NoRetraining(
    "tiny-2", "def", "tiny-1", "abc", "tiny", "3", "better by far", "nothing new since run tiny-1"
)
INCOMPLETE = replace(OUTCOME, report=None, missing=(Missing("report", "OSError: no room"),))
SWEPT = SweepOutcome(
    "sweep-1",
    "abc",
    (RANKING,),
    9,
    {"Tiny": 4},
    {"Tiny": {"model": {"name": "tiny", "version": "3"}, "champion": True, "promotion": "first"}},
)
DISTILLED = Distilled("distill-1", "abc", DISTILLATION, {"hint": REGISTERED}, 7)
SCORED = Scored(JOB, SUMMARY, repeated=True, written=98)
MONITORED = Monitored("monitor-1", "abc", MODEL, DRIFT)
REPRODUCED = Reproduced("abc", "def", Path("/again"), COMPARISON)
REFUSED = Promotion(None, Evidence(VERDICT, "scored"))


def printed(show: Any, *arguments: Any, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(console, *arguments)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("show", "arguments", "expected"),
    [
        (
            tables.show_outcome,
            (OUTCOME,),
            [
                "200 test rows, 95% intervals",
                "delivered (gated)",
                "Fusion helps: +",
                "Shapley shares of accuracy",
                "Search: image → text class recall@1 0.500",
                "0 rows extracted: nothing had changed.",
                "tiny version 3 is champion: better by far.",
                "report        /report.html",
                "MLflow run    abc   (all runs: braid ui)",
                "model         models:/tiny@champion",
            ],
        ),
        (
            tables.show_outcome,
            (INCOMPLETE,),
            [
                "report is missing, and the next run tries it again (OSError: no room).",
                "report        missing",
            ],
        ),
        (
            tables.show_no_retraining,
            (ENDED,),
            [
                "nothing new since run tiny-1. That run made tiny version 3: better by far.",
                "braid report tiny-1",
                "MLflow run    abc",
                "braid run --again",
            ],
        ),
        (
            tables.show_distilled,
            (DISTILLED,),
            [
                "120 test rows, 95% intervals, means over the seeds",
                "one seed",
                "-0.100 … +0.140",
                "hint: the teacher helps",
                "Teacher: image + text, test accuracy 0.900.",
            ],
        ),
        (
            tables.show_scored,
            (SCORED,),
            [
                "61.2%",
                "98 of 100 rows scored",
                "Scored without image: 3 rows.",
                "The table lacks extra.",
                "none was scored again",
                "98 rows written to table predictions.",
                "quarantine    /scores/",
                "model         tiny version 3",
            ],
        ),
        (
            tables.show_monitored,
            (MONITORED,),
            [
                "false alarms in at most 5% of reports",
                "voice: embeddings",
                "0.3123",
                "0.000988",
                "Drift in voice: 190 of 1000",
                "Not compared: text: no column of it.",
            ],
        ),
        (
            tables.show_reproduced,
            (REPRODUCED,),
            [
                "packages.p11",
                "0.75",
                "Differs: environment (14), metric (1).",
                "run           abc",
                "environment: 2 more differ",
            ],
        ),
        (
            tables.show_promotion,
            (REFUSED, "tiny version 3"),
            [
                "tiny version 3, scored now",
                "not measured",
                "-0.0400",
                "refused, the champion stays: gain too small. --force skips the rule.",
            ],
        ),
        (
            tables.show_sweep,
            (SWEPT,),
            [
                "Tiny: accuracy, 95% intervals over seeds; ranked on validation",
                "0.850 … 0.950",
                "+0.200 +0.150…+0.250",
                "Tiny at 1000 parameters",
                "tensor skipped: too wide",
                "tiny version 3 is champion: first.",
                "9 trials, 4 rows extracted",
            ],
        ),
        (
            tables.show_hits,
            ([Hit("r1", 0.875, "a.png", {"label": "cat"})], "image"),
            ["rank", "similarity", "0.875", "a.png", "cat"],
        ),
    ],
)
def test_the_terminal_shows_tables_findings_and_places(
    show: Any, arguments: tuple[Any, ...], expected: list[str]
) -> None:
    shown = printed(show, *arguments)
    assert [part for part in expected if part not in shown] == []


def test_eighty_columns_hold_every_number_of_a_ranking() -> None:
    assert "…\n" not in printed(tables.show_sweep, SWEPT, width=80)
    assert "+0.200 +0.150…+0.250" in printed(tables.show_sweep, SWEPT, width=80)


def test_data_is_text_and_no_markup() -> None:
    evil = "[bold]x[/bold] [/]"
    table = Table("", (text(evil), number("n")), ((evil, 1.0),), title=evil)
    for shown in (
        printed(terminal.print_table, table),
        printed(terminal.print_findings, [evil]),
        printed(terminal.print_places, {"report": evil}),
    ):
        assert evil in shown


def test_columns_without_room_are_not_in_the_terminal_but_in_files() -> None:
    (table, _) = RANKING.tables().values()
    assert "seconds" in table.names
    assert "seconds" not in printed(terminal.print_table, table)


def keys(shown: str) -> list[str]:
    return list(json.loads(shown))


def test_programs_find_that_a_run_has_ended_without_a_retraining() -> None:
    assert json.loads(json_output.no_retraining_json(ENDED)) == {
        "run": "tiny-2",
        "mlflow_run": "def",
        "retrained": False,
        "reason": "nothing new since run tiny-1",
        "since": "tiny-1",
        "model": {"name": "tiny", "version": "3", "run": "abc"},
        "promotion": "better by far",
    }
    assert json.loads(json_output.outcome_json(OUTCOME))["retrained"] is True


def test_programs_find_the_keys_that_they_know() -> None:
    outcome = json.loads(json_output.outcome_json(OUTCOME))
    assert list(outcome) == (
        [
            "run",
            "mlflow_run",
            "retrained",
            "report",
            "missing",
            "target",
            "task",
            "metric",
            "rows",
            "delivered",
            "best_single",
            "fusion_helps",
            "test",
            "candidates",
            "fusion_gain",
            "answerable",
            "fusion_gain_answerable",
            "delivered_gain",
            "subsets",
            "shapley",
            "interactions",
            "learners",
            "conformal",
            "thresholds",
            "further_targets",
            "retrieval",
            "extracted_rows",
            "model",
            "champion",
            "promotion",
            "undecided",
            "promotion_checks",
        ]
    )
    assert outcome["test"]["accuracy"] == outcome["candidates"]["delivered"]["test"]
    assert outcome["retrieval"]["retrieval_image_to_text_recall_1"] == 0.5
    assert outcome["promotion_checks"][1]["found"] is None, "JSON has no NaN"
    assert keys(json_output.promotion_json(REFUSED)) == ["promoted", "moved", "source", "verdict"]
    assert keys(json_output.reproduced_json(REPRODUCED)) == (
        ["run", "again", "workspace", "same_results", "metrics_compared", "differences"]
    )
    swept = json.loads(json_output.sweep_json(SWEPT))
    assert list(swept) == ["run", "mlflow_run", "trials", "extracted_rows", "rankings", "registered"]
    assert swept["rankings"]["Tiny"]["winner"] == "gated"
    distilled = json.loads(json_output.distilled_json(DISTILLED))
    assert (distilled["students"]["hint"]["gain_over_seeds"], distilled["students"]["hint"]["helps"]) == (
        None,
        "yes",
    )
    scored = json.loads(json_output.scored_json(SCORED))
    assert (scored["mlflow_run"], scored["labels"]["label"]["cat"]) == ("run", 60)
    monitored = json.loads(json_output.monitored_json(MONITORED))
    assert (monitored["drifted"], monitored["tests"]["voice_mmd"]["p"]) == (["voice"], 0.000123456)


def test_a_verdict_without_checks_has_no_table() -> None:
    moved = Promotion(None, Evidence(Verdict(False, "nobody asked"), "none"))
    assert printed(tables.show_promotion, moved, "tiny version 3").startswith("refused")
