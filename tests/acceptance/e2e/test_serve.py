"""`mlflow models serve` on a registered model: JSON with any of the inputs, answers or reasons."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import mlflow
import pandas as pd
import pytest

from benchmarks.serving import serve as start_serving
from tests.acceptance.e2e.project import CLASSES, Project

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def champion(project: Project, first_run: dict[str, Any]) -> Iterator[httpx.Client]:
    """Client of the champion, served as a user serves it."""
    environment = project.environment(
        MLFLOW_TRACKING_URI=project.tracking_uri,
        PYTHONPATH="",  # code of the model
    )
    log = project.folder / "serve.log"
    with (
        start_serving("models:/tiny@champion", log, environment, project.folder) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def row(project: Project) -> dict[str, Any]:
    """A test row with every input, as JSON: media as base64."""
    manifest = pd.read_csv(project.folder / "manifest.csv")
    cells = manifest[(manifest["split"] == "test") & manifest.notna().all(axis=1)].iloc[0]
    content = {
        name: base64.b64encode((project.folder / cells[name]).read_bytes()).decode()
        for name in ("picture", "sound")
    }
    return {**content, "words": cells["words"], "label": cells["label"], "file": str(cells["picture"])}


def ask(client: httpx.Client, rows: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    answer = client.post("/invocations", json={"dataframe_records": rows, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def test_the_input_example_can_be_sent_as_it_is(
    project: Project, champion: httpx.Client, first_run: dict[str, Any]
) -> None:
    mlflow.set_tracking_uri(project.tracking_uri)
    example = mlflow.pyfunc.load_model("models:/tiny@champion").input_example
    assert len(example) == 3
    answers = ask(champion, json.loads(example.to_json(orient="records")))
    assert [answer["error"] for answer in answers] == [None] * 3
    assert all("picture" in answer["inputs"] or "sound" in answer["inputs"] for answer in answers)


def inputs_of(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names or ("picture", "sound", "words")}


def test_text_and_base64_media_are_answered(champion: httpx.Client, row: dict[str, Any]) -> None:
    (answer,) = ask(champion, [inputs_of(row)])
    assert answer["label"] == row["label"]
    assert answer["inputs"] == "picture+sound+words"
    assert answer["error"] is None
    assert sum(answer[f"probability_{name}"] for name in CLASSES) == pytest.approx(1.0)
    split = {"columns": ["words", "sound", "picture"], "data": [[row["words"], row["sound"], row["picture"]]]}
    again = champion.post("/invocations", json={"dataframe_split": split}).json()["predictions"]
    assert again == [answer], "whatever the layout and the order of columns"


def test_any_input_may_be_absent_or_null(champion: httpx.Client, row: dict[str, Any]) -> None:
    answers = ask(
        champion,
        [
            inputs_of(row),
            inputs_of(row, "words"),
            {"picture": row["picture"], "sound": None, "words": None},
            inputs_of(row, "sound"),
            {"words": ""},
            {},
        ],
    )
    assert [answer["inputs"] for answer in answers] == [
        "picture+sound+words",
        "words",
        "picture",
        "sound",
        "",
        "",
    ]
    assert [answer["label"] is None for answer in answers] == [False] * 4 + [True] * 2
    assert [answer["abstain"] for answer in answers[4:]] == [True, True]
    for names in (("words",), ("picture",), ("sound",)):  # alone in the request, and so in the table
        (answer,) = ask(champion, [inputs_of(row, *names)])
        assert answer["inputs"] == names[0]


def test_base64_may_be_a_data_url_and_have_line_breaks(champion: httpx.Client, row: dict[str, Any]) -> None:
    text = row["picture"]
    lines = "\n".join(text[start : start + 76] for start in range(0, len(text), 76)) + "\n"
    plain, *others = ask(
        champion, [{"picture": each} for each in (text, lines, f"data:image/png;base64,{text}")]
    )
    assert plain["inputs"] == "picture"
    assert others == [plain, plain]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("!!rubbish!!", "is not base64"),
        ("rub#bish" * 100, "is not base64"),
        ("data:image/png;base64,%%%%", "is not base64"),
        ("data:image/png,abcd", "without ';base64,'"),
        (base64.b64encode(b"hello").decode(), "cannot be decoded as an image"),
        (base64.b64encode(b"hello " * 50).decode(), "cannot be decoded as an image"),
        (5, "expected base64 text, found"),
        ({"bytes": "aGVsbG8="}, "expected base64 text, found dict"),
        ("http://127.0.0.1:1/picture.png", "is not base64"),
        ("/etc/hostname", "is not base64"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_answers(
    champion: httpx.Client, row: dict[str, Any], cell: Any, reason: str
) -> None:
    alone, without = ask(champion, [{"picture": cell, "words": row["words"]}, inputs_of(row, "words")])
    assert alone["error"].startswith("picture: ")
    assert reason in alone["error"]
    assert len(alone["error"]) < 200
    assert alone["inputs"] == "words"
    assert alone["label"] == without["label"]
    assert alone["probability"] == pytest.approx(without["probability"])


def test_rubbish_among_good_base64_is_not_passed_over(champion: httpx.Client, row: dict[str, Any]) -> None:
    text = row["picture"]
    damaged = [text[:40] + "%" + text[40:], f"data:image/png;base64,%{text}", text[:-3]]
    for answer in ask(champion, [{"picture": each} for each in damaged]):
        assert answer["label"] is None
        assert "is not base64" in answer["error"]


def test_a_file_of_the_server_is_not_read(
    project: Project, champion: httpx.Client, row: dict[str, Any]
) -> None:
    file = project.folder / row["file"]
    assert file.exists()
    for named in (str(file), file.as_uri()):
        (answer,) = ask(champion, [{"picture": named}])
        assert answer["inputs"] == ""
        assert "is not base64" in answer["error"]


def test_files_are_read_where_the_environment_says_so_and_outside_a_server(
    project: Project, first_run: dict[str, Any], row: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.set_tracking_uri(project.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/tiny@champion")
    table = pd.DataFrame({"picture": [str(project.folder / row["file"])]})

    def used() -> str:
        return str(model.predict(table)["inputs"].iloc[0])

    monkeypatch.delenv("BRAID_SERVE_FILES", raising=False)
    monkeypatch.delenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", raising=False)
    assert used() == "picture"
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
    assert used() == ""
    monkeypatch.setenv("BRAID_SERVE_FILES", "1")
    assert used() == "picture"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"dataframe_records": [{}]}, "no row has a column of this model (picture, sound, words)"),
        ({"dataframe_records": [{"photo": "abcd"}]}, "no row has a column of this model"),
        ({"dataframe_records": [{"words": "a"}], "params": {"inputs": "wrods"}}, "Did you mean 'words'?"),
        ({"rows": [{"words": "a"}]}, "dataframe_records"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_with_the_reason(
    champion: httpx.Client, body: dict[str, Any], reason: str
) -> None:
    answer = champion.post("/invocations", json=body)
    assert answer.status_code == 400
    assert reason in answer.json()["message"]


def test_inputs_and_shares_can_be_asked_for(champion: httpx.Client, row: dict[str, Any]) -> None:
    (answer,) = ask(champion, [inputs_of(row)], params={"inputs": "picture, sound", "explain": True})
    assert answer["inputs"] == "picture+sound"
    assert answer["share_words"] == 0
    assert answer["share_picture"] != 0
