"""The figure of a comparison."""

from matplotlib.figure import Figure

from components.evaluation.style import GREY, RED, SKY, row_axes
from components.monitoring.results import Drift, Test

_MOST = 40  # rows that a page can show


def drift_figure(drift: Drift) -> Figure:
    """Draw the effect of each test over its floor; alarms are red.

    Of very many tests, those with the largest effects are shown.
    """
    most = sorted(drift.tests, key=_times, reverse=True)[:_MOST]
    shown = [test for test in drift.tests if test in most]
    figure, axes = row_axes([test.name for test in shown], "effect / floor", longest=34)
    colours = [RED if test.drifted else SKY for test in shown]
    axes.barh(range(len(shown)), [_times(test) for test in shown], color=colours, height=0.6)
    axes.axvline(1, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set_major_formatter("{x:g}")
    return figure


def _times(test: Test) -> float:
    """Divide the effect by the floor, 0 without an effect; an AUC counts from one half."""
    rest = 0.5 if test.kind == "classifier" else 0.0
    if test.effect <= rest and test.kind == "classifier":
        return 0.0
    return abs(test.effect - rest) / max(test.floor - rest, 1e-3)
