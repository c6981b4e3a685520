"""Each clause of the promotion rule, on answers whose losses are known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from components.evaluation.intervals import Gain, Interval
from components.promotion.clauses import calibration_check, further_check, robustness_checks, subset_check
from components.promotion.gates import Gate, Loss, loss
from components.promotion.scores import Scores
from components.promotion.unknown import Common
from components.promotion.verdict import Check, Verdict
from components.robustness.results import CorruptionCurve, Level, MissingCurve, MissingLevel, Robustness
from components.targets import AnyTarget, Classification, Multilabel, Ordinal, Regression

ROWS = np.ones(200, dtype=bool)
GATE = Gate(0.95, 1, 200, 0)
NUMBER = Regression(name="price", metric="rmse", mean=0.0, std=1.0, loss="gaussian")
LABELS = Multilabel(name="tags", metric="f1_macro", classes=("wet", "cold"), separator="|", none="")


def scores(target: AnyTarget, answers: dict[tuple[str, ...], np.ndarray]) -> Scores:
    """Answers (N, P) by the inputs that were given, the longest with all of the model's."""
    names = (
        ["value", "std"]
        if isinstance(target, Regression)
        else [f"probability_{column}" for column in target.columns]
    )
    frames = {inputs: pd.DataFrame(predictions, columns=names) for inputs, predictions in answers.items()}
    return Scores(max(answers, key=len), (target.name,), frames)


def sure_of(chosen: Sequence[int] | np.ndarray, sure: float, classes: int) -> np.ndarray:
    """Probabilities in which the chosen class has ``sure`` and the others share the rest."""
    probabilities = np.full((len(chosen), classes), (1 - sure) / (classes - 1))
    probabilities[np.arange(len(chosen)), chosen] = sure
    return probabilities


def right_in(share: float, values: np.ndarray, classes: int) -> np.ndarray:
    """Chosen classes of which this share is right, by rows in order."""
    wrong = (values + 1) % classes
    return np.where(np.arange(len(values)) < share * len(values), values, wrong)


def classes_target(kind: type[Classification] | type[Ordinal]) -> AnyTarget:
    return kind(name="label", metric="accuracy", classes=("ant", "bee", "cat"))


@pytest.mark.parametrize(
    ("metric", "champion", "challenger", "expected"),
    [
        ("accuracy", 0.9, 0.8, 0.1),  # points
        ("accuracy", 0.8, 0.9, -0.1),
        ("r2", 0.1, -0.1, 0.2),
        ("rmse", 10.0, 12.0, 0.2),  # a fifth more error, in whatever unit
        ("log_loss", 0.5, 0.4, -0.2),
    ],
)
def test_a_loss_is_in_points_or_in_shares_of_an_error(
    metric: str, champion: float, challenger: float, expected: float
) -> None:
    assert loss(metric, champion, challenger) == pytest.approx(expected)


@pytest.mark.parametrize("kind", [Classification, Ordinal])
def test_the_subset_that_loses_most_is_named(kind: type[Classification] | type[Ordinal]) -> None:
    target, values = classes_target(kind), np.arange(200) % 3
    subsets = [("a",), ("b",), ("a", "b")]

    def model(*shares: float) -> Scores:
        answers = [sure_of(right_in(share, values, 3), 0.9, 3) for share in shares]
        return scores(target, dict(zip(subsets, answers, strict=True)))

    old, new = model(0.8, 0.7, 0.9), model(0.75, 0.6, 0.5)
    shared = Common(target, values, ROWS, (), 0.0)
    check = subset_check(GATE, shared, new, old, subsets, "accuracy", 0.05)
    assert check.found == pytest.approx(0.1), "all inputs together are the gain's matter"
    assert (check.passed, check.undecided) == (False, False)
    assert "b alone" in check.note
    check = subset_check(GATE, shared, new, old, subsets, "accuracy", 0.12)
    assert not check.passed, "200 rows show .12, and it may be up to .137"
    assert "b alone, between +0.06" in check.note
    check = subset_check(GATE, shared, new, old, subsets, "accuracy", 0.2)
    assert (check.passed, check.undecided) == (True, False)


def test_a_number_is_bounded_by_the_share_of_error() -> None:
    values = np.linspace(-100, 100, 200)
    subsets = [("a",), ("a", "b")]

    def model(off: float) -> Scores:
        answer = np.stack([values + off, np.full(200, 1.0)], axis=1)
        return scores(NUMBER, dict.fromkeys(subsets, answer))

    shared = Common(NUMBER, values, ROWS, (), 0.0)
    check = subset_check(GATE, shared, model(11), model(10), subsets, "rmse", 0.05)
    assert check.found == pytest.approx(0.1)
    assert not check.passed


def test_nothing_to_compare_stands_in_nobodys_way() -> None:
    target, values = classes_target(Classification), np.arange(200) % 3
    one = scores(target, {("a",): sure_of(values, 0.9, 3)})
    check = subset_check(GATE, Common(target, values, ROWS, (), 0.0), one, one, [("a",)], "accuracy", 0.0)
    assert math.isnan(check.found)
    assert check.passed
    assert Verdict(True, "", None, (check,)).tables()["promotion"].texts()[0][1] == "not measured"


class TestCalibration:
    """An honest champion against a challenger that claims more than it holds, for every kind of target."""

    def check(self, target: AnyTarget, values: np.ndarray, new: np.ndarray, old: np.ndarray) -> Check:
        given = [scores(target, {("a",): answers}) for answers in (new, old)]
        return calibration_check(GATE, Common(target, values, ROWS, (), 0.0), *given, 0.05)

    @pytest.mark.parametrize("kind", [Classification, Ordinal])
    def test_of_classes(self, kind: type[Classification] | type[Ordinal]) -> None:
        values = np.arange(200) % 3
        chosen = right_in(0.7, values, 3)
        new, old = sure_of(chosen, 0.95, 3), sure_of(chosen, 0.7, 3)
        check = self.check(classes_target(kind), values, new, old)
        assert check.found == pytest.approx(0.25, abs=0.03), "the champion's own is 0 but for noise"
        assert check.found > 0.25, "the noise of the champion is taken off"
        assert not check.passed
        back = self.check(classes_target(kind), values, old, new)
        assert back.found == pytest.approx(-check.found)
        assert back.passed

    def test_of_labels(self) -> None:
        values = np.repeat([[1.0, 0.0], [0.0, 1.0]], 100, axis=0)
        new, old = np.full((200, 2), 0.9), np.full((200, 2), 0.5)  # every label is there in half of the rows
        check = self.check(LABELS, values, new, old)
        assert check.found == pytest.approx(0.4, abs=0.03)
        assert not check.passed

    def test_of_numbers(self) -> None:
        values = np.random.default_rng(0).normal(0, 1, 200)
        mean = np.zeros(200)
        new, old = np.stack([mean, mean + 0.1], 1), np.stack([mean, mean + 1.0], 1)
        check = self.check(NUMBER, values, new, old)
        assert check.found > 0.3, "intervals ten times too narrow"
        assert not check.passed
        back = self.check(NUMBER, values, old, new)
        assert back.passed


def curves(
    damaged: float, half: float, metric: str = "accuracy", severities: int = 2, reach: float = 0.0
) -> Robustness:
    at = Interval(damaged, damaged - reach, damaged + reach)
    levels = tuple(Level(severity, at, at, damaged) for severity in range(severities))
    curve = CorruptionCurve("photo", "blur", 50, levels, damaged, damaged, 0.0, 0.0)
    gain = Gain(0.0, 0.0, 0.0, 1.0)
    gone = Interval(half, half - reach, half + reach)
    missing = MissingCurve(
        ("photo",), tuple(MissingLevel(rate, gone, gone, gain, 0, 0) for rate in (0.0, 0.5))
    )
    return Robustness(metric, 0.95, 100, 0, 50, 50, ("photo",), (curve,), (missing,))


class TestRobustness:
    def test_damage_and_missing_inputs_are_bounded_each(self) -> None:
        damage, missing = robustness_checks(GATE, 0.05, curves(0.6, 0.70), curves(0.8, 0.72))
        assert (damage.name, missing.name) == ("loss under damage", "loss under missing inputs")
        assert damage.found == pytest.approx(0.2)
        assert missing.found == pytest.approx(0.02)
        assert (damage.passed, missing.passed) == (False, True)

    def test_wide_intervals_decide_nothing(self) -> None:
        damage, missing = robustness_checks(
            GATE, 0.05, curves(0.7, 0.60, reach=0.15), curves(0.8, 0.90, reach=0.15)
        )
        assert (damage.answer, missing.answer) == ("undecided", "no")  # errors of .108 for both together

    def test_an_error_that_grows_is_a_loss(self) -> None:
        damage, _ = robustness_checks(GATE, 0.05, curves(1.2, 1.0, "rmse"), curves(1.0, 1.0, "rmse"))
        assert damage.found == pytest.approx(0.2)
        assert not damage.passed

    def test_other_severities_are_not_compared(self) -> None:
        checks = list(robustness_checks(GATE, 0.05, curves(0.1, 0.7, severities=3), curves(0.9, 0.7)))
        assert [check.name for check in checks] == ["loss under missing inputs"]

    def test_without_a_record_of_one_it_says_whose(self) -> None:
        (check,) = robustness_checks(GATE, 0.05, curves(0.1, 0.1), None)
        assert check.passed
        assert not check.measured
        assert "champion" in check.note


def test_a_loss_in_a_further_target_is_bounded_on_the_rows_that_have_it() -> None:
    values = np.zeros(200)
    rows = np.arange(200) < 100
    values[~rows] = np.nan

    def model(off: float) -> Scores:
        return scores(NUMBER, {("a",): np.stack([np.full(200, off), np.ones(200)], 1)})

    shared = Common(NUMBER, values, rows, (), 0.0)
    check = further_check(GATE, "price", shared, model(1.5), model(1.0), 0.1, 0.2)
    assert (check.name, check.found, check.passed) == ("loss in price", pytest.approx(0.5), False)
    assert further_check(GATE, "price", shared, model(1.0), model(1.5), 0.1, 0.2).passed


def test_a_champion_that_knows_too_few_classes_of_a_further_target_cannot_be_compared() -> None:
    shared = Common(NUMBER, np.zeros(200), ROWS, ("c",), 0.3)
    new = scores(NUMBER, {("a",): np.zeros((200, 2))})
    check = further_check(GATE, "price", shared, new, new, 0.05, 0.2)
    assert not check.passed
    assert not check.measured
    assert "does not know 'c'" in check.note


def test_a_champion_without_the_further_target_loses_nothing() -> None:
    other = scores(classes_target(Classification), {("a",): sure_of([0, 1], 0.9, 3)})
    new = scores(NUMBER, {("a",): np.zeros((200, 2))})
    check = further_check(GATE, "price", None, new, other, 0.0, 0.2)
    assert check.passed
    assert not check.measured


def test_a_verdict_is_read_back_from_json() -> None:
    check = Check("gain", math.nan, 0.0, False, "accuracy")
    verdict = Verdict.from_json(
        Verdict(False, "why", Gain(0.1, 0.0, 0.2, 0.5), (check,), "version 3").to_json()
    )
    assert verdict.champion == "version 3"
    assert math.isnan(verdict.checks[0].found)
    assert verdict.checks[0].note == "accuracy"


class TestGate:
    @pytest.mark.parametrize(
        ("value", "error", "answer"),
        [
            (0.01, 0.01, "yes"),  # up to .029
            (0.02, 0.022, "undecided"),  # -.017 to .057
            (0.06, 0.022, "no"),  # shown to lose, and more than the bound
            (0.06, 0.04, "undecided"),
            (0.03, 0.014, "no"),  # enough rows to show that it loses less, and it did not
            (-0.2, 0.04, "yes"),
            (0.05, 0.0, "yes"),
            (0.051, 0.0, "no"),
            (0.06, math.nan, "undecided"),  # a single group of rows
        ],
    )
    def test_a_loss_is_shown_or_undecided(self, value: float, error: float, answer: str) -> None:
        assert GATE.check("loss", Loss(value, error), 0.05, "").answer == answer

    def test_more_losses_take_wider_intervals(self) -> None:
        lost = Loss(0.06, 0.022)
        assert Gate(0.95, 1, 200, 0).check("loss", lost, 0.05, "").answer == "no"
        assert Gate(0.95, 30, 200, 0).check("loss", lost, 0.05, "").answer == "undecided"

    def test_an_equal_challenger_is_hardly_ever_blocked(self) -> None:
        rng, blocked = np.random.default_rng(0), 0
        for _ in range(400):
            new, old = (rng.random((6, 100)) < 0.7 for _ in range(2))
            differences = old.astype(float) - new
            losses = [Loss(each.mean(), each.std(ddof=1) / 10, 99) for each in differences]
            gate = Gate(0.95, 6, 0, 0)
            blocked += any(not gate.check("loss", each, 0.05, "").passed for each in losses)
        assert blocked <= 33  # of .05, more have a chance below 1 in 300
