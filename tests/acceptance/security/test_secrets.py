"""A secret that was planted is nowhere afterwards: not in MLflow, Prefect, logs, reports or on the screen."""

from __future__ import annotations

import asyncio
import http.server
import io
import logging
import threading
import traceback
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from components.config.operations import NotificationConfig
from components.config.yaml_file import read_mapping
from components.errors import ConfigError, DataError
from components.redaction import guard_logs, redacted, without_login, without_secrets
from components.runtime.environ import filled
from flows.hosting.automations import _block
from flows.servers.processes import port_near, prefect_server
from tests.acceptance.e2e.project import make_project, write_manifest

SECRET, SHARED = "pl4nted-Pa55word", "pl4nted-t0ken"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:hunter2@db/x", "postgresql://u:***@db/x"),
        ("cannot reach https://u:p%40ss@h.org/a.csv now", "cannot reach https://u:***@h.org/a.csv now"),
        ("s3://key:secret@bucket", "s3://key:***@bucket"),
        ("https://h/a?X-Amz-Signature=ab12&x=1", "https://h/a?X-Amz-Signature=***&x=1"),
        ("https://h/a?sig=ab%2F12#top", "https://h/a?sig=***#top"),
        ("https://h/a?api_key=1&access-key=2&page=3", "https://h/a?api_key=***&access-key=***&page=3"),
        ("https://h:8080/a@b:c", "https://h:8080/a@b:c"),
        ("https://h:8080?to=a@b", "https://h:8080?to=a@b"),
        ("postgresql://u:p@ss@w/o:rd@db:5432/x is refused", "postgresql://u:***@db:5432/x is refused"),
        ("'mysql://u:p@ss@db/x' and \"redis://:p@ss@db\"", "'mysql://u:***@db/x' and \"redis://:***@db\""),
        ("a time 12:30 @ noon, mailto:x@y.org", "a time 12:30 @ noon, mailto:x@y.org"),
        ("https://h/monkey=1?design=2", "https://h/monkey=1?design=2"),
    ],
)  # fmt: skip
def test_passwords_in_addresses_are_hidden(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_values_of_secret_variables_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", f"admin:{SHARED}")
    monkeypatch.setenv("BRAID_COLOUR", "turquoise")
    monkeypatch.setenv("HF_TOKEN", "abc")  # too short to be told from words
    assert redacted(f"{SECRET} {SHARED} turquoise abc") == "*** *** turquoise abc"
    assert without_secrets({"a": [SECRET, 3, None], "b": (f"x{SHARED}",)}) == {
        "a": ["***", 3, None],
        "b": ("x***",),
    }


@pytest.mark.parametrize("name", ["SLACK_URL", "X", "DSN", "my_database"])
def test_what_an_option_takes_from_a_variable_is_hidden_whatever_its_name(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("BRAID_FILLED_VARIABLES", raising=False)
    value = "https://hooks.example/T0/pl4n+ed/b=1"
    monkeypatch.setenv(name, value)
    assert redacted(value) == value
    assert filled(f"${{{name}}}", "an.option") == value
    assert redacted(f"<{value}> {quote(value, safe='')} {quote_plus(value)}") == "<***> *** ***"

    monkeypatch.delenv("BRAID_FILLED_VARIABLES")
    (tmp_path / "some.yaml").write_text(f"notification: {{url: '${{{name}}}'}}")
    read_mapping(tmp_path / "some.yaml", "", "")  # as another process may fill it in
    assert redacted(value) == "***"


def test_a_webhook_that_cannot_be_parsed_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_URL", f"hooks.slack.example/{SECRET}")
    with pytest.raises(ConfigError) as caught:
        asyncio.run(_block(NotificationConfig(kind="slack", url="${SLACK_URL}")))
    shown = "".join(traceback.format_exception(caught.value))
    assert "not an address that slack gives" in shown
    assert SECRET not in shown


def test_errors_and_links_show_none() -> None:
    assert str(DataError(f"nothing at https://u:{SECRET}@h/x")) == "nothing at https://u:***@h/x"
    assert without_login(f"https://u:{SECRET}@h:5000/x") == "https://h:5000/x"
    assert without_login("https://h:5000/x@y") == "https://h:5000/x@y"
    assert without_login("https://u:p@s/s@h:5000/x") == "https://h:5000/x"
    assert without_login("https://token@h:5000/x") == "https://h:5000/x"


def test_logs_and_their_tracebacks_show_none() -> None:
    guard_logs()
    stream = io.StringIO()
    logger = logging.getLogger("braid.test")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        logger.warning("connecting to %s (%d)", f"postgresql://u:{SECRET}@h/x", 3)
        try:
            raise ValueError(f"no route to https://u:{SECRET}@h/x")
        except ValueError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
    log = stream.getvalue()
    assert SECRET not in log
    assert "connecting to postgresql://u:***@h/x (3)" in log
    assert "Traceback" in log
    assert "no route to https://u:***@h/x" in log


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[str]:
    """Address of a manifest behind a login."""
    write_manifest(tmp_path / "served", 120)

    class Locked(http.server.SimpleHTTPRequestHandler):
        def send_head(self):
            wanted = f"Basic {b64encode(f'reader:{SECRET}'.encode()).decode()}"
            if self.headers.get("Authorization") != wanted:
                self.send_error(401)
                return None
            return super().send_head()

        def log_message(self, *arguments: object) -> None:
            pass

    def handler(*arguments: object) -> Locked:
        return Locked(*arguments, directory=str(tmp_path / "served"))  # type: ignore[arg-type]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def found_in(folder: Path, words: tuple[str, ...]) -> list[str]:
    return [
        f"{word} in {path.relative_to(folder)}"
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
        for word in words
        if word.encode() in path.read_bytes()
    ]


@pytest.mark.e2e
def test_a_run_with_secrets_leaves_none_behind(tmp_path: Path, locked: str) -> None:
    """Data behind a login, a database with a password, a token in a query, a failing run: all is searched."""
    words = {
        "modality": "text", "columns": "words", "encoder": {"name": "ngrams", "width": 8, "buckets": 64},
        "fit": {"epochs": 2, "batch_size": 16},
    }  # fmt: skip
    source = f"http://reader:${{DATA_PASSWORD}}@{locked}/manifest.csv?token={SHARED}"
    (tmp_path / "project" / "workspace").mkdir(parents=True)
    project = make_project(
        tmp_path / "project",
        10,
        inputs={"words": words},
        data={"source": source, "split": {"column": "split"}},
    )
    environment = {"DATA_PASSWORD": SECRET, "BRAID_URL_SCHEMES": "http", "BRAID_URL_PRIVATE": "1"}
    database = f"postgresql+psycopg://braid:{SECRET}@127.0.0.1:1/scores"
    manifest = str(tmp_path / "served" / "manifest.csv")
    # a server of its own, whose database is searched too
    with prefect_server(project.workspace, port_near(0), ephemeral=True) as server:
        project = replace(project, api=server.address)
        done = project.inside("run", str(project.config), "--json", **environment)
        assert done.exit_code == 0, done.output
        scored = project.inside("score", "tiny", manifest, "--sql", database, **environment)
        assert scored.exit_code != 0
        refused = project.inside("run", str(project.config), "--set", "data.id=words2", **environment)
        assert refused.exit_code == 3
    wrong = project.inside("check", str(project.config), **{**environment, "DATA_PASSWORD": f"{SECRET}-no"})
    assert "the server responds with status 401" in wrong.stderr

    shown = done.output + scored.output + refused.output + wrong.output
    assert SECRET not in shown
    assert SHARED not in shown
    assert "127.0.0.1:1" in shown or "psycopg" in shown
    (project.folder / "tiny.yaml").unlink()  # which has the token, by its author's hand
    assert found_in(project.folder, (SECRET, SHARED)) == []
