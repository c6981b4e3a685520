"""A web page and another user of the machine attack ``braid up``: nothing of theirs runs, nothing is told."""

from __future__ import annotations

import http.server
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from flows.servers.password import stored_password
from tests.acceptance.operations.conftest import Up, until, up
from tests.acceptance.operations.test_dashboard import PATIENCE, QUIET

__all__ = ["up"]
pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# What a page of another site can do: read with and without a preflight, and send what needs none.
ATTACK = """
async ([api, body]) => {
  const results = {};
  const attempt = async (name, options, path = "/deployments/filter") => {
    try {
      const response = await fetch(api + path, options);
      results[name] = [response.type, response.status, await response.text()];
    } catch (error) { results[name] = String(error); }
  };
  const json = {"content-type": "application/json"};
  await attempt("read", {method: "POST", headers: json, body: "{}"});
  await attempt("change", {method: "POST", headers: json, body}, "/deployments/");
  await attempt("simple", {method: "POST", headers: {"content-type": "text/plain"}, body}, "/deployments/");
  await attempt("blind", {method: "POST", mode: "no-cors", body}, "/deployments/");
  await attempt("secrets", {method: "POST", headers: json, body: '{"include_secrets": true}'},
                "/block_documents/filter");
  results.events = await new Promise(done => {
    const socket = new WebSocket(api.replace("http", "ws") + "/events/out", "prefect");
    socket.onopen = () => done("open");
    socket.onerror = () => done("refused");
  });
  return results;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium here: infra/install-test-packages.sh installs it")
    with sync_playwright() as playwright:
        # the name that an attacker's DNS gives 127.0.0.1
        rebound = "--host-resolver-rules=MAP evil.example 127.0.0.1"
        chromium = playwright.chromium.launch(executable_path=program, args=[*QUIET, rebound])
        expect.set_options(timeout=PATIENCE)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    tab = browser.new_page()
    tab.set_default_timeout(PATIENCE)
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def other_site() -> Iterator[str]:
    """Address of a page of another origin."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>free kittens</title>")

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}/"
        server.shutdown()


def test_a_page_of_another_site_reads_and_changes_nothing(up: Up, page: Page, other_site: str) -> None:
    before = up.deployment("retrain")
    shell = {"prefect.deployments.steps.run_shell_script": {"script": "touch marker"}}
    body = httpx.Request(
        "POST",
        "http://x",
        json={
            "name": "retrain", "flow_id": before["flow_id"], "entrypoint": "flows.retrain.retrain",
            "pull_steps": [shell],
        },
    ).content.decode()  # fmt: skip
    page.goto(other_site)
    results = page.evaluate(ATTACK, [up.addresses.prefect_api, body])
    assert results["events"] == "refused"
    for name in ("read", "change", "simple", "secrets"):
        assert "TypeError" in results[name], results
    assert results["blind"] in (["opaque", 0, ""], "TypeError: Failed to fetch")
    assert up.deployment("retrain")["pull_steps"] == before["pull_steps"]
    assert up.deployment("retrain")["entrypoint"] == before["entrypoint"]


def test_a_name_that_an_attacker_gives_this_machine_is_refused(up: Up, page: Page) -> None:
    for address in (up.addresses.dashboard, up.addresses.mlflow):
        response = page.goto(address.replace("127.0.0.1", "evil.example"))
        assert response is not None
        assert response.status == 403


def test_the_address_that_is_printed_opens_signed_in(up: Up, page: Page) -> None:
    page.goto(up.addresses.dashboard)
    expect(page.get_by_placeholder(re.compile("admin:pass|password", re.IGNORECASE))).to_be_visible()
    page.goto(up.sign_in)
    expect(page.get_by_text("Deployments").first).to_be_visible()
    page.goto(f"{up.addresses.dashboard}/deployments")
    expect(page.get_by_text("retrain").first).to_be_visible()
    assert stored_password(up.project.workspace) not in page.url


def test_who_has_the_password_still_runs_no_command_of_a_deployment(up: Up, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    known = up.deployment("retrain")
    shell = {"prefect.deployments.steps.run_shell_script": {"script": f"touch {marker}"}}
    up.api(
        "POST", "deployments/", name="retrain", flow_id=known["flow_id"],
        entrypoint="flows.retrain.retrain", pull_steps=[shell], parameters=known["parameters"],
    )  # fmt: skip
    assert up.deployment("retrain")["pull_steps"] == [shell]
    run = up.trigger("retrain")
    assert up.end_of(run)["type"] == "CRASHED"
    logs = until(lambda: up.api("POST", "logs/filter", logs={"flow_run_id": {"any_": [run]}}), 30, "its log")
    assert "was changed by another than braid" in " ".join(log["message"] for log in logs)
    assert not marker.exists()
