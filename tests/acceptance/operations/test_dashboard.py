"""A person at the dashboards, in headless Chromium: fills in the form, follows the link, compares two runs.

Screenshots are kept in ``.screenshots`` of the checkout.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.acceptance.operations.conftest import Up, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SHOTS = Path(__file__).parents[3] / ".screenshots"
PATIENCE = 60_000  # ms; a page of a busy machine comes late
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium here: infra/install-test-packages.sh installs it")
    SHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        tab = browser.new_page(viewport={"width": 1400, "height": 1300})
        tab.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        yield tab
        browser.close()


def field(page: Page, name: str) -> Locator:
    """A field of Prefect's form, by its label."""
    label = page.locator("span.schema-form-property__label", has_text=re.compile(rf"^{name}\b"))
    return label.locator(
        "xpath=ancestor::div[contains(@class, 'schema-form-property')][contains(@class, 'p-label')][1]"
    )


def shot(page: Page, name: str) -> None:
    page.wait_for_timeout(1500)  # until what moves has come to rest
    page.screenshot(path=SHOTS / f"{name}.png")


@pytest.fixture(scope="module")
def submitted(up: Up, page: Page) -> str:
    """A run started from the form; its id."""
    deployment = up.deployment("retrain")["id"]
    page.goto(up.sign_in)
    expect(page.get_by_text("Deployments").first).to_be_visible()
    page.goto(f"{up.addresses.dashboard}/deployments/deployment/{deployment}/run")
    field(page, "Fusion").locator(".p-label__body button").first.focus()
    page.keyboard.press("ArrowDown")
    page.get_by_role("option", name="gated", exact=True).click()
    field(page, "Epochs").locator("input").fill("3")
    shot(page, "form")
    page.get_by_role("button", name="Submit").click()
    (run,) = until(lambda: up.runs_of("retrain"), 60, "the run of the form")
    assert up.end_of(run["id"])["type"] == "COMPLETED"
    return str(run["id"])


def test_the_run_has_the_parameters_of_the_form(up: Up, submitted: str) -> None:
    parameters = up.api("GET", f"flow_runs/{submitted}")["parameters"]
    assert parameters["changes"] == {"fusion": "gated", "epochs": 3}
    assert parameters["config"] == str(up.project.config)


def test_the_page_of_the_run_shows_its_steps_and_artifacts(up: Up, submitted: str, page: Page) -> None:
    page.goto(f"{up.addresses.dashboard}/runs/flow-run/{submitted}")
    expect(page.get_by_text("Completed").first).to_be_visible()
    shot(page, "run")
    page.get_by_role("tab", name="Artifacts").or_(page.get_by_text("Artifacts", exact=True)).first.click()
    expect(page.get_by_text("summary").first).to_be_visible()
    shot(page, "artifacts")
    page.get_by_text("summary").first.click()
    expect(page.get_by_text("Subsets of inputs").first).to_be_visible()
    shot(page, "summary")


def test_the_link_leads_to_the_mlflow_run_with_the_same_parameters(
    up: Up, submitted: str, page: Page
) -> None:
    (link,) = [
        artifact
        for artifact in up.api("POST", "artifacts/filter", artifacts={"key": {"any_": ["mlflow-run"]}})
        if artifact["flow_run_id"] == submitted
    ]
    page.goto(f"{up.addresses.dashboard}/artifacts/artifact/{link['id']}")
    link_to = page.get_by_role("link", name=re.compile("Metrics, figures and tables|MLflow run")).first
    address = link_to.get_attribute("href")
    assert address is not None
    assert address.startswith(up.addresses.mlflow)
    page.goto(address)
    search = page.get_by_placeholder("Search parameters")
    search.fill("fusion.name")
    expect(page.get_by_text("gated", exact=True).first).to_be_visible()
    shot(page, "mlflow-run")


def test_two_runs_are_compared_in_mlflow(up: Up, submitted: str, page: Page) -> None:
    other = up.trigger("retrain", changes={"fusion": "concat", "epochs": 5})
    assert up.end_of(other)["type"] == "COMPLETED"
    runs = [up.mlflow_run(each).info for each in (submitted, other)]
    ids, experiments = (
        quote(json.dumps(value)) for value in ([run.run_id for run in runs], [runs[0].experiment_id])
    )
    page.goto(f"{up.addresses.mlflow}/#/compare-runs?runs={ids}&experiments={experiments}")
    expect(page.get_by_text("fusion.name").first).to_be_visible()
    for value in ("gated", "concat"):
        expect(page.get_by_text(value, exact=True).first).to_be_visible()
    shot(page, "mlflow-compare")
    page.goto(f"{up.addresses.mlflow}/#/models/tiny")
    expect(page.get_by_text("champion").first).to_be_visible()
    shot(page, "mlflow-registry")
