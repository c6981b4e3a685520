"""A whole retraining in plain Python, and optional steps that fail without failing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from components.audit.results import Audit
from components.config import PipelineConfig
from components.errors import ModelError
from components.explanations.results import Explanations
from components.pipeline import plain
from components.pipeline.plain import PlainSteps, Retrained
from components.pipeline.run import BuiltModel, retrain
from components.promotion.compare import FIRST, Rival
from components.references import Missing
from components.robustness.results import Robustness
from tests.components.conftest import configure

COMPONENTS = {
    "robustness": "measure_robustness",
    "explain": "explain_samples",
    "audit": "audit",
    "report": "write_report",
}
CURVES = {"rows": 9, "severities": [5], "missing_rates": [0.5]}


def thorough() -> PipelineConfig:
    """The tiny pipeline with every optional step, each on few rows."""
    explanations = {"samples": 1}
    evaluation = {"bootstrap": 100, "robustness": CURVES, "explanations": explanations}
    return configure(evaluation=evaluation, audit={"rows": 24})


class Run:
    """A retraining on the cache of the tiny pipeline, so that nothing is trained again."""

    def __init__(self, tiny: BuiltModel, base: Path, name: str) -> None:
        self.tiny, self.base, self.name = tiny, base, name

    def __call__(self, champion: Rival | None = None) -> Retrained:
        config = thorough()
        steps = Ordered(config, self.tiny.folder, self.base, bundle=self.name, champion=champion)
        self.order = steps.order
        return retrain(steps, config, steps.ingest())


class Ordered(PlainSteps):
    """Remembers the steps from evaluation on, in their order."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.order: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name in ("evaluate", "promote", *COMPONENTS):
            self.order.append(name)
        return super().__getattribute__(name)


@pytest.fixture(scope="module")
def complete(tiny: BuiltModel, tiny_data: Path) -> Retrained:
    """A retraining in which every step succeeds."""
    return Run(tiny, tiny_data, "bundle-of-a-retraining")()


@pytest.fixture
def run(
    tiny: BuiltModel, tiny_data: Path, complete: Retrained, undrawn: None, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """A retraining of the same model, so that every measurement gives what it gave in the complete one."""
    for step, result in complete.optional.items():
        monkeypatch.setattr(plain, COMPONENTS[step], lambda *arguments, result=result: result)
    return Run(tiny, tiny_data, "bundle-of-a-retraining")


def page_of(result: Retrained) -> str:
    return cast(Path, result.report).read_text("utf-8")


def test_a_complete_retraining_gives_every_result(complete: Retrained, tiny: BuiltModel) -> None:
    assert complete.missing == ()
    assert list(complete.optional) == ["robustness", "explain", "audit"]
    kinds = (Robustness, Explanations, Audit)
    assert [type(result) for result in complete.optional.values()] == list(kinds)
    assert complete.promotion == FIRST
    again, before = complete.parts.fused, tiny.fused
    assert again is not None
    assert before is not None
    assert again.training == before.training, "the trainings of the tiny pipeline are found again"
    page = page_of(complete)
    for section in ("robustness", "explanations", "audit"):
        assert f'<section id="{section}"' in page
    assert 'class="promotion missing"' not in page


def test_steps_that_are_not_asked_for_are_not_missing(tiny: BuiltModel, tiny_data: Path) -> None:
    evaluation = {"bootstrap": 100, "robustness": {"rows": 0}, "explanations": {"samples": 0}}
    config = configure(evaluation=evaluation, audit={"rows": 0})
    steps = PlainSteps(config, tiny.folder, tiny_data, bundle="bundle-unmeasured")
    result = retrain(steps, config, steps.ingest())
    assert result.optional == {}
    assert result.missing == ()


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("robustness", ValueError("4 is not 3")),
        ("explain", ModelError("no such weights")),
        ("audit", ValueError("4 is not 3")),
        ("report", ModelError("no such weights")),
    ],
    ids=COMPONENTS,
)
def test_an_optional_step_that_fails_is_missing_and_the_rest_is_there(
    run: Run, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise error

    monkeypatch.setattr(plain, COMPONENTS[step], fail)
    result = run()
    expected = Missing(step, f"{type(error).__name__}: {error}")
    assert result.missing == (expected,)
    assert result.promotion == FIRST
    others = [each for name, each in result.optional.items() if name != step]
    assert not any(isinstance(each, Missing) for each in others)
    if step == "report":
        assert result.report == expected
    else:
        page = page_of(result)
        assert expected.sentence in page
        assert f'<section id="{step}"' not in page.replace('id="explanations"', 'id="explain"')


def test_the_next_run_tries_a_missing_step_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(plain, "audit", lambda *arguments: 1 / 0)
        assert [missing.step for missing in run().missing] == ["audit"]
    assert run().missing == ()


def test_all_optional_steps_can_fail_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for component in COMPONENTS.values():
        monkeypatch.setattr(plain, component, lambda *arguments: 1 / 0)
    result = run()
    assert [missing.step for missing in result.missing] == list(COMPONENTS)
    assert result.promotion.promote


def test_promotion_decides_after_every_measurement(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    assert run.order == ["evaluate", "robustness", "explain", "audit", "promote", "report"]


def test_an_interrupt_ends_the_run_before_it_decides(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plain, "explain_samples", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert "promote" not in run.order


@pytest.mark.parametrize("step", ["evaluate", "promote"])
def test_other_steps_fail_the_run(run: Run, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError(step)

    monkeypatch.setattr(PlainSteps, step, fail)
    with pytest.raises(ValueError, match=step):
        run()


def test_secrets_do_not_reach_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "open sesame")
    error = OSError("no access to s3://store with\n  open sesame")
    assert Missing.because("audit", error).reason == "OSError: no access to s3://store with ***"


class TestRule:
    """A rule of promotion that looks at robustness."""

    @pytest.fixture
    def champion(self, tiny: BuiltModel, complete: Retrained) -> Rival:
        return Rival(tiny.bundle, "champion", complete.optional["robustness"])

    def test_refuses_a_challenger_whose_robustness_is_missing(
        self, run: Run, champion: Rival, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plain, "measure_robustness", lambda *arguments: 1 / 0)
        verdict = run(champion).promotion
        (check,) = (check for check in verdict.checks if "robustness" in check.name)
        assert (check.passed, check.measured) == (False, False)
        assert not verdict.promote
        reason = "loss of robustness could not be measured (robustness: ZeroDivisionError: division by zero)"
        assert reason in verdict.reason

    def test_has_nothing_to_compare_with_a_champion_without_curves(
        self, run: Run, champion: Rival, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plain, "measure_robustness", lambda *arguments: 1 / 0)
        verdict = run(Rival(champion.bundle, "champion")).promotion
        (check,) = (check for check in verdict.checks if "robustness" in check.name)
        assert (check.passed, check.measured) == (True, False)

    def test_compares_the_curves_of_both(self, run: Run, champion: Rival) -> None:
        verdict = run(champion).promotion
        losses = [check for check in verdict.checks if check.name.startswith("loss under")]
        assert [check.found for check in losses] == [0, 0]
