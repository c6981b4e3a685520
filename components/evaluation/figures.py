"""The evaluation's figures. Each function returns a matplotlib Figure of its own, free of pyplot's state."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from components.evaluation.calibration import ReliabilityBin
from components.evaluation.over_time import PeriodResult
from components.evaluation.results import (
    CandidateResult,
    ClassResult,
    Curve,
    Evaluation,
    Interval,
    SubsetResult,
)
from components.evaluation.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LINE,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    WIDTH,
    legend,
    new_figure,
    row_axes,
    short,
    sober,
    words,
)

_KINDS = {
    "single": SKY,
    "average": ORANGE,
    "late": ORANGE,
    "trees": RED,
    "fusion": BLUE,
    "ensemble": PURPLE,
    "delivered": GREEN,
}
_MOST_BARS, _MOST_CELLS = 25, 40
_LINES = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)


def candidate_intervals(candidates: Sequence[CandidateResult], metric: str) -> Figure:
    """Draw the test metric of every candidate and of the delivered model, with intervals."""
    shown = [c for c in candidates if metric in c.test]
    return interval_rows(
        [c.name for c in shown], [c.test[metric] for c in shown], [_KINDS[c.kind] for c in shown], metric
    )


def subset_intervals(subsets: Sequence[SubsetResult], metric: str) -> Figure:
    """Draw the test metric for every subset of inputs, with intervals; darker where there are more inputs."""
    shown = sorted(subsets, key=lambda s: (len(s.inputs), s.metric.value))
    most = max((len(s.inputs) for s in shown), default=1)
    colours = [GREEN if len(s.inputs) == most else BLUE if len(s.inputs) > 1 else SKY for s in shown]
    return interval_rows(
        [" + ".join(s.inputs) for s in shown], [s.metric for s in shown], colours, metric, longest=38
    )


def shapley_bars(shares: Mapping[str, float], metric: str) -> Figure:
    """Draw the share of the metric that each input contributes."""
    figure, axes = row_axes(list(shares), f"Shapley share of {words(metric)}")
    values = list(shares.values())
    axes.barh(range(len(values)), values, height=0.6, color=[BLUE if v >= 0 else RED for v in values])
    axes.axvline(0, color=INK, linewidth=0.8)
    for row, value in enumerate(values):
        side, gap = ("left", 4) if value >= 0 else ("right", -4)
        axes.annotate(
            f"{value:+.3f}", (value, row), (gap, 0), textcoords="offset points",
            ha=side, va="center", fontsize=9, color=INK,
        )  # fmt: skip
    axes.margins(x=0.25)
    return figure


def class_bars(per_class: Sequence[ClassResult]) -> Figure:
    """Draw the F1 of up to 25 classes, the worst at the top, with precision and recall as marks."""
    classes = sorted((c for c in per_class if c.support > 0), key=lambda c: c.f1)
    shown = classes[:_MOST_BARS]
    label = (
        "F1 (rows)"
        if len(shown) == len(classes)
        else f"F1 (rows), {_MOST_BARS} worst of {len(classes)} classes"
    )
    figure, axes = row_axes([f"{short(c.name)} ({c.support})" for c in shown], label, longest=40)
    axes.barh(range(len(shown)), [c.f1 for c in shown], height=0.6, color=SKY, label="F1")
    axes.plot(
        [c.precision for c in shown], range(len(shown)), "|", color=INK, markersize=8, label="precision"
    )
    axes.plot([c.recall for c in shown], range(len(shown)), "o", color=RED, markersize=3.5, label="recall")
    axes.set_xlim(0, 1.02)
    legend(axes, 3)
    return figure


def confusion_matrix(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Shares of each label's rows by predicted class, in numbers too up to 12 classes.

    Of more than 40 classes, those 40 with most errors are shown.
    """
    counts = np.asarray(confusion, dtype=float)
    support = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, support, out=np.zeros_like(counts), where=support > 0)
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    shown = np.sort(np.argsort(-errors, kind="stable")[:_MOST_CELLS])
    shares, size = shares[np.ix_(shown, shown)], len(shown)
    figure = new_figure(max(WIDTH, 0.2 * size + 1.2), max(WIDTH, 0.2 * size + 1.2))
    axes = figure.subplots()
    sober(axes)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for row, column in np.argwhere(shares > 0):
        share = shares[row, column]
        colour = BLUE if row == column else RED
        corner = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, color=colour, alpha=0.1 + 0.9 * share, linewidth=0))
        if size <= 12:
            ink = "#ffffff" if share > 0.45 else INK
            text = f"{100 * share:.0f}" if share >= 0.005 else "<1"
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=9 if size <= 8 else 8)
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
    few = "" if size == len(classes) else f"; the {size} of {len(classes)} with most errors"
    axes.set_xlabel("predicted", color=INK)
    axes.set_ylabel(f"label (% of its rows{few})", color=INK)
    names = [short(classes[index], 16) for index in shown]
    upright = size > 6 or max(map(len, names), default=0) > 40 // size
    axes.set_xticks(range(size), names, rotation=90 if upright else 0, parse_math=False)
    axes.set_yticks(range(size), names, parse_math=False)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=LINE, linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.tick_params(labelsize=9 if size <= 6 else 8 if size <= 20 else 7)
    return figure


def scatter_plot(pairs: Sequence[tuple[float, float]], target: str) -> Figure:
    """Predicted against true numbers, with the line on which they agree; at most 5000 of them."""
    step = max(1, len(pairs) // 5000)
    truth, predicted = np.array(pairs[::step]).T
    figure = new_figure(WIDTH, WIDTH)
    axes = figure.subplots()
    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())
    axes.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.scatter(truth, predicted, s=14, color=BLUE, alpha=0.5, linewidths=0)
    axes.set_xlabel(f"true {short(target, 30)}", color=INK, parse_math=False)
    axes.set_ylabel("predicted", color=INK)
    axes.set_aspect("equal", "datalim")
    sober(axes)
    return figure


RELIABILITY_AXES = {
    "classification": ("confidence (top probability)", "accuracy"),
    "ordinal": ("confidence (top probability)", "accuracy"),
    "multilabel": ("probability of a label", "share of rows that have it"),
    "regression": ("probability of a central interval", "share of rows inside"),
}


def reliability_diagram(
    before: Sequence[ReliabilityBin],
    after: Sequence[ReliabilityBin],
    x_label: str = "confidence (top probability)",
    y_label: str = "accuracy",
) -> Figure:
    """Draw accuracy over confidence before and after scaling, and the number of rows per bin."""
    figure = new_figure(WIDTH, 4.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    top.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    for bins, colour, mark, label in ((before, ORANGE, "s", "before"), (after, BLUE, "o", "after")):
        filled = [b for b in bins if b.count]
        sizes = 12 + 70 * np.sqrt([b.count / max(c.count for c in filled) for b in filled])
        x, y = [b.confidence for b in filled], [b.accuracy for b in filled]
        top.plot(x, y, color=colour, linewidth=1.4, alpha=0.8)
        top.scatter(x, y, s=sizes, color=colour, marker=mark, label=label, linewidths=0, zorder=3)
        total = sum(b.count for b in bins)
        middles = np.array([(b.low + b.high) / 2 for b in bins])
        shift = -0.2 if label == "before" else 0.2
        width = 1 / max(len(bins), 1)
        heights = [b.count / max(total, 1) for b in bins]
        bottom.bar(middles + shift * width, heights, width=0.38 * width, color=colour)
    top.set(xlim=(0, 1.02), ylim=(0, 1.02))
    top.set_ylabel(y_label, color=INK)
    bottom.set_ylabel("rows", color=INK)
    bottom.set_xlabel(x_label, color=INK)
    bottom.yaxis.set_major_locator(MaxNLocator(2))
    bottom.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    sober(top)
    sober(bottom)
    legend(top, 2)
    return figure


def training_curves(curves: Sequence[Curve], metric: str) -> Figure:
    """Training loss and validation metric by epoch, a line a fit, a dot at the epoch that was kept."""
    figure = new_figure(WIDTH, 4.6)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for index, curve in enumerate(curves):
        colour = _LINES[index % len(_LINES)]
        style = ("-", (0, (5, 2)), (0, (1, 1.2)))[index // len(_LINES) % 3]
        for axes, values in ((upper, curve.train_loss), (lower, curve.validation)):
            epochs = np.arange(1, len(values) + 1)
            mark = "." if len(values) == 1 else ""
            axes.plot(
                epochs,
                values,
                color=colour,
                linestyle=style,
                linewidth=1.5,
                marker=mark,
                label=short(curve.name),
            )
            if curve.best_epoch is not None and curve.best_epoch < len(values):
                axes.plot(curve.best_epoch + 1, values[curve.best_epoch], "o", color=colour, markersize=4.5)
    named = {curve.metric or metric for curve in curves}
    upper.set_ylabel("training loss", color=INK)
    lower.set_ylabel(f"validation {words(named.pop()) if len(named) == 1 else 'metric'}", color=INK)
    lower.set_xlabel("epoch", color=INK)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    sober(upper)
    sober(lower)
    if curves:
        legend(upper, min(3, len(curves)))
    return figure


def metric_over_time(over_time: Sequence[PeriodResult], score: Interval, metric: str) -> Figure:
    """Draw the test metric of each period with its interval, and that of all rows as a line."""
    figure = new_figure(WIDTH, 3.2)
    axes = figure.subplots()
    sober(axes)
    axes.axhline(score.value, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    x = np.arange(len(over_time))
    low, value, high = (
        np.array([getattr(period.metric, name) for period in over_time]) for name in ("low", "value", "high")
    )
    axes.vlines(x, low, high, color=BLUE, linewidth=5, alpha=0.45)
    axes.plot(x, value, "o-", color=BLUE, markersize=5, linewidth=1)
    axes.set_ylabel(f"test {words(metric)}", color=INK)
    shown = np.unique(np.linspace(0, len(over_time) - 1, min(len(over_time), 6)).astype(int))
    axes.set_xticks(shown, [over_time[number].first for number in shown])
    axes.margins(x=0.06)
    return figure


def all_figures(evaluation: Evaluation, curves: Sequence[Curve] = ()) -> dict[str, Figure]:
    """Draw every figure that has something to show, by file name without ending."""
    calibration = evaluation.calibration
    figures = {
        "candidates": candidate_intervals(evaluation.candidates, evaluation.metric),
        "reliability": reliability_diagram(
            calibration.before, calibration.after, *RELIABILITY_AXES[evaluation.task]
        ),
    }
    if evaluation.confusion:
        figures["confusion"] = confusion_matrix(evaluation.confusion, evaluation.classes)
    if evaluation.per_class:
        figures["per_class"] = class_bars(evaluation.per_class)
    if evaluation.scatter:
        figures["scatter"] = scatter_plot(evaluation.scatter, evaluation.target)
    if evaluation.over_time:
        figures["over_time"] = metric_over_time(evaluation.over_time, evaluation.score, evaluation.metric)
    if len(evaluation.inputs) > 1:
        figures["subsets"] = subset_intervals(evaluation.subsets, evaluation.metric)
        figures["shapley"] = shapley_bars(evaluation.shapley, evaluation.metric)
    if curves:
        figures["training"] = training_curves(curves, evaluation.metric)
    return figures


def interval_rows(
    names: Sequence[str],
    intervals: Sequence[Interval],
    colours: Sequence[str],
    metric: str,
    longest: int = 24,
) -> Figure:
    """Draw a dot and its interval per name, with the value at the right."""
    figure, axes = row_axes(names, words(metric), longest)
    for row, (interval, colour) in enumerate(zip(intervals, colours, strict=True)):
        axes.plot(
            [interval.low, interval.high],
            [row, row],
            color=colour,
            linewidth=5,
            alpha=0.45,
            solid_capstyle="butt",
        )
        axes.plot(interval.value, row, "o", color=colour, markersize=6.5)
        transform = axes.get_yaxis_transform()
        axes.text(1.01, row, f"{interval.value:.3f}", transform=transform, va="center", fontsize=9, color=INK)
    axes.margins(x=0.04)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure
