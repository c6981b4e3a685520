"""The same hostile texts in every result: no command, artifact or table shows them as anything but text."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_origin, get_type_hints

import pandas as pd
import pytest
import typer

from components.config import load_tracking
from components.errors import BraidError, ConfigError, DataError
from components.references import Missing
from components.results import markdown, spreadsheet
from components.results.visible import visible
from components.retrieval.search import Hit
from flows.cli import json_output, options, tables, terminal
from tasks import artifacts
from tasks.context import Run
from tasks.tracking import runs
from tests.components.small_results import RESULTS
from tests.flows.cli.test_tables import (
    DISTILLED,
    INCOMPLETE,
    MONITORED,
    OUTCOME,
    REFUSED,
    REPRODUCED,
    SCORED,
    SWEPT,
    printed,
)

STEERING = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08\u202e\u2028"
MARKUP = "<img src=http://evil.example/x.png><script>alert(1)</script>![x](http://evil.example/y)[/]|`"
EVIL = f"=1+1{STEERING}{MARKUP}"
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LIVE = re.compile(r"<[a-z/!]|\]\(|`{1}", re.IGNORECASE)


def poisoned(value: Any) -> Any:
    """The value with a hostile end, and for tables a hostile beginning, of every text in it."""
    match value:
        case str():
            return f"{EVIL}{value}"
        case tuple():
            return tuple(map(poisoned, value))
        case Mapping():
            return {key: poisoned(inner) for key, inner in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            hints = get_type_hints(type(value))
            return dataclasses.replace(
                value,
                **{
                    field.name: poisoned(getattr(value, field.name))
                    for field in dataclasses.fields(value)
                    if field.init and get_origin(hints[field.name]) is not Literal
                },
            )
    return value


SHOWN: list[tuple[Any, tuple[Any, ...]]] = [
    (tables.show_outcome, (dataclasses.replace(OUTCOME, registered=poisoned(OUTCOME.registered)),)),
    (tables.show_outcome, (dataclasses.replace(INCOMPLETE, missing=poisoned(INCOMPLETE.missing)),)),
    (tables.show_distilled, (poisoned(DISTILLED),)),
    (tables.show_scored, (dataclasses.replace(SCORED, summary=poisoned(SCORED.summary)),)),
    (tables.show_monitored, (poisoned(MONITORED),)),
    (tables.show_reproduced, (poisoned(REPRODUCED),)),
    (tables.show_promotion, (poisoned(REFUSED), EVIL)),
    (tables.show_sweep, (poisoned(SWEPT),)),
    (tables.show_hits, ([Hit(EVIL, 0.5, EVIL, {EVIL: EVIL})], EVIL)),
    (terminal.print_places, ({EVIL: EVIL},)),
    (terminal.print_text, (EVIL,)),
]


@pytest.mark.parametrize(("show", "arguments"), SHOWN)
def test_no_command_steers_the_terminal(show: Any, arguments: tuple[Any, ...]) -> None:
    shown = printed(show, *arguments, width=2000)
    assert STEERS.findall(shown.replace("\n", "")) == []
    assert "\\u001b" in shown
    assert "[/]" in shown, "markup of rich is text"


@pytest.mark.parametrize("error", [BraidError(EVIL), ConfigError(EVIL), DataError(EVIL), RuntimeError(EVIL)])
def test_no_message_of_an_error_steers_it(
    error: Exception, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit), options.reported(tmp_path):
        raise error
    shown = capsys.readouterr().err
    assert STEERS.findall(shown) == []
    assert "\\u001b" in shown


@pytest.mark.parametrize(
    "text",
    [
        json_output.distilled_json(poisoned(DISTILLED)),
        json_output.monitored_json(poisoned(MONITORED)),
        json_output.reproduced_json(poisoned(REPRODUCED)),
        json_output.promotion_json(poisoned(REFUSED)),
        json.dumps({"id": EVIL, "half": "\ud800"}, ensure_ascii=False),
    ],
)
def test_json_is_the_same_to_programs_and_harmless_to_a_terminal(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.say(text)
    shown = capsys.readouterr().out
    assert STEERS.findall(shown) == []
    assert json.loads(shown) == json.loads(text)


class Dashboard:
    """Collects what artifacts would show; all of it is Markdown to the dashboard."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def create(self, content: Any = "", **named: Any) -> None:
        rows = content if isinstance(content, list) else [{"": content}]
        for row in rows:
            self.texts += [str(part) for pair in row.items() for part in pair]
        self.texts.append(str(named.get("description", "")))


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    made = Dashboard()
    for name in ("table", "markdown", "link"):
        monkeypatch.setattr(artifacts, f"create_{name}_artifact", made.create)
    monkeypatch.setattr(artifacts, "get_run_logger", lambda: logging.getLogger(__name__))
    return made


@pytest.fixture
def run(tmp_path: Path) -> Run:
    at = load_tracking(None, tmp_path)
    return Run("job", tmp_path, at, runs.start_run(at, "job", "job", {"kind": "monitor"}))


@pytest.mark.parametrize("name", [name for name in RESULTS if name != "evaluation"])
def test_no_artifact_has_live_markup_and_no_csv_a_formula(
    name: str, run: Run, dashboard: Dashboard, tmp_path: Path
) -> None:
    result = poisoned(RESULTS[name])
    artifacts.show_result("page", EVIL, result)
    artifacts.show_quarantine(pd.DataFrame({"id": [EVIL], "reason": [EVIL]}), EVIL)
    artifacts.show_missing([Missing("step", EVIL)])
    artifacts.show_report(run.tracking, run.mlflow_run, tmp_path / "<img src=x>" / "report.html")
    for number, table in enumerate(result.tables().values()):
        artifacts.show_table("table", table)
        frame = pd.DataFrame(table.records(), columns=table.names)
        runs.log_table(run.tracking, run.mlflow_run, frame, f"table-{number}")
        path = runs.download(
            run.tracking, run.mlflow_run, f"tables/table-{number}.csv", tmp_path / str(number)
        )
        cells = [cell for row in csv.reader(io.StringIO(path.read_bytes().decode())) for cell in row]
        assert [cell for cell in cells if cell.startswith("=")] == []
    assert [text for text in dashboard.texts if LIVE.search(text) or STEERS.search(text)] == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        (" =1", "' =1"),
        ("\r=1", "\\u000d=1"),
        ("＝1+1", "'＝1+1"),
        ("-5", "-5"),
        ("+1.5e-3", "+1.5e-3"),
        ("a=b", "a=b"),
        ("", ""),
        (-5.0, -5.0),
        (None, None),
    ],
)
def test_a_spreadsheet_gets_no_formula(value: Any, shown: Any) -> None:
    assert spreadsheet.cell(value) == shown


def test_numbers_and_texts_come_back_from_csv() -> None:
    rows = [["a,b", 0.1, None, True], ['"', -2, "x\ny", False]]
    text = spreadsheet.table(["w", "x", "y", "z"], rows)
    assert list(csv.reader(io.StringIO(text)))[1:] == [
        ["a,b", "0.1", "", "True"],
        ['"', "-2", "x\ny", "False"],
    ]


def test_ordinary_letters_of_all_scripts_stay() -> None:
    text = "Ärger, пример, 例, مثال, e\u0301, 👩\u200d🔬"
    assert visible(text) == markdown.plain(text) == text
    assert visible("a\nb\tc", lines=True) == "a\nb\tc"
    assert visible("a\nb") == "a\\u000ab"
