"""Areas under curves worked out by hand, and what a result says of itself."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from components.evaluation.intervals import Gain, Interval
from components.report.page import render_report
from components.robustness.figures import robustness_figures
from components.robustness.results import (
    CorruptionCurve,
    Level,
    MissingCurve,
    MissingLevel,
    Robustness,
    effective_robustness,
    relative_robustness,
)
from tests.components.report.test_page import EVIL, Page, report_of, through_json


def around(value: float, half: float = 0.02) -> Interval:
    return Interval(value, value - half, value + half)


def curve(name: str, kind: str, values: tuple[float, ...], other: float = 0.6) -> CorruptionCurve:
    levels = tuple(
        Level(step, around(v), around(v - 0.2), v) for step, v in zip((0, 1, 3, 5), values, strict=True)
    )
    return CorruptionCurve(
        name, kind, 90, levels, 0.8, 0.6, 0.0, values[0] - values[-1], "voice", around(other)
    )


def gap(rate: float, gain: float = 0.1) -> MissingLevel:
    return MissingLevel(
        rate, around(0.9 - rate / 2), around(0.9 - gain), Gain(gain, gain - 0.05, gain + 0.05, 0.01), 30, 4
    )


@pytest.fixture
def robustness() -> Robustness:
    names = ("picture", "voice")
    rates = (0.0, 0.25, 0.5, 0.75)
    return Robustness(
        metric="accuracy",
        confidence=0.95,
        resamples=100,
        seed=1,
        rows=100,
        test_rows=200,
        inputs=names,
        corruptions=(
            curve("picture", "jpeg", (0.9, 0.9, 0.8, 0.7)),
            curve("picture", "occlusion", (0.9, 0.85, 0.7, 0.5)),
        ),
        missing=tuple(
            MissingCurve(inputs, tuple(map(gap, rates))) for inputs in (names, ("picture",), ("voice",))
        ),
    )


class TestAreas:
    def test_relative_robustness_is_the_mean_height_over_severity(self) -> None:
        assert relative_robustness([0, 1, 3, 5], [0.8, 0.8, 0.8, 0.8]) == pytest.approx(0.8)
        # trapezoids by hand: 1 × .85 + 2 × .6 + 2 × .3 over a width of 5
        assert relative_robustness([0, 1, 3, 5], [0.9, 0.8, 0.4, 0.2]) == pytest.approx(2.65 / 5)
        assert relative_robustness([0, 2], [1.0, 0.0]) == relative_robustness([0, 5], [1.0, 0.0]) == 0.5

    def test_effective_robustness_is_the_distance_from_late_fusion_shifted_to_the_same_start(self) -> None:
        steps, late = [0, 1, 3, 5], [0.8, 0.7, 0.6, 0.4]
        assert effective_robustness(steps, late, late, True) == 0
        better_but_no_sturdier = [value + 0.1 for value in late]
        assert effective_robustness(steps, better_but_no_sturdier, late, True) == pytest.approx(0)
        flat = [0.8] * 4  # above late fusion by 0, .1, .2, .4: 1 × .05 + 2 × .15 + 2 × .3 over 5
        assert effective_robustness(steps, flat, late, True) == pytest.approx(0.95 / 5)
        assert effective_robustness(steps, flat, late, False) == pytest.approx(-0.95 / 5)

    def test_without_late_fusion_there_is_no_effective_robustness(self) -> None:
        assert math.isnan(effective_robustness([0, 5], [1, 0.5], [math.nan] * 2, True))


class TestResult:
    def test_it_survives_its_json(self, robustness: Robustness) -> None:
        single = replace(robustness.corruptions[0], effective=float("nan"), other=None, other_metric=None)
        assert Robustness.from_json(robustness.to_json()) == robustness
        read = Robustness.from_json(replace(robustness, corruptions=(single,)).to_json())
        assert math.isnan(read.corruptions[0].effective)

    def test_it_names_the_worst_damage_and_the_rate_nearest_to_half(self, robustness: Robustness) -> None:
        assert robustness.worst is robustness.corruptions[1]
        assert robustness.half is robustness.missing[0].levels[2]
        empty = replace(robustness, corruptions=(), missing=())
        assert (empty.worst, empty.half, empty.everything, empty.harmful) == (None, None, None, ())

    def test_damage_is_harmful_where_another_input_alone_is_clearly_better(
        self, robustness: Robustness
    ) -> None:
        assert [curve.corruption for curve in robustness.harmful] == ["occlusion"]
        losses = replace(
            robustness, metric="log_loss"
        )  # there a value above that of the other input is the worse
        assert [curve.corruption for curve in losses.harmful] == ["jpeg"]


class TestPages:
    def test_the_report_says_it_in_plain_words(self, make_evaluation, robustness: Robustness) -> None:
        report = replace(report_of(make_evaluation(inputs=2)), robustness=robustness)
        html = render_report(report)
        page = Page(html)
        text = " ".join(" ".join(page.text).split())
        assert "hidden with a chance of 50 %" in text
        assert "the mask is worth +0.100" in text
        assert "4 of the 100 rows are left without any input" in text
        assert "occlusion on picture costs most" in text
        assert "Heavy occlusion on picture makes the model worse than voice by itself" in text
        assert page.tags.count("svg") == 9
        assert render_report(through_json(report)) == html

    @pytest.mark.usefixtures("undrawn")
    @pytest.mark.parametrize("gain", [-0.2, 0.0])
    def test_it_does_not_praise_a_mask_that_brings_nothing(
        self, make_evaluation, robustness: Robustness, gain: float
    ) -> None:
        missing = (MissingCurve(("picture", "voice"), (gap(0.0), gap(0.5, gain))),)
        report = replace(
            report_of(make_evaluation(inputs=2)), robustness=replace(robustness, missing=missing)
        )
        text = " ".join(render_report(report).split())
        assert "the mask is worth" not in text
        assert ("the mask brings nothing here" in text) == (gain < 0)

    @pytest.mark.usefixtures("undrawn")
    def test_one_input_curves_alone_and_rates_alone_are_shown(
        self, make_evaluation, robustness: Robustness
    ) -> None:
        nan = float("nan")
        alone = replace(robustness.corruptions[0], effective=nan, other=None, other_metric=None)
        one = replace(
            robustness, inputs=("picture",), corruptions=(alone,), missing=(replace(robustness.missing[1]),)
        )
        for part in (one, replace(one, corruptions=()), replace(one, missing=())):
            page = Page(render_report(replace(report_of(make_evaluation(inputs=1)), robustness=part)))
            text = " ".join(page.text)
            assert "Damaged and missing inputs" in text
            assert "Effective" not in text
            assert "nan" not in text.lower().split()

    def test_names_are_escaped(self, make_evaluation, robustness: Robustness) -> None:
        evil = replace(
            robustness,
            inputs=(EVIL, "voice"),
            corruptions=(replace(robustness.corruptions[1], input=EVIL, other=EVIL),),
            missing=(robustness.missing[0], MissingCurve((EVIL,), robustness.missing[1].levels)),
        )
        html = render_report(replace(report_of(make_evaluation(inputs=2)), robustness=evil))
        assert "<script" not in html
        assert any(EVIL in text for text in Page(html).text)

    def test_figures_draw_something(self, robustness: Robustness) -> None:
        figures = robustness_figures(robustness)
        assert set(figures) == {"robustness", "missing_rates"}
        many = replace(robustness, missing=robustness.missing * 3)  # more panels than a row takes
        for figure in [*figures.values(), robustness_figures(many)["missing_rates"]]:
            png = io.BytesIO()
            figure.savefig(png, format="png")
            assert (np.asarray(Image.open(png).convert("L")) < 200).mean() > 0.005
        assert robustness_figures(replace(robustness, corruptions=(), missing=())) == {}
