"""Small multiples of the robustness curves: a panel for each corruption of each input, one for each gap."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from components.evaluation.intervals import Interval
from components.evaluation.style import GREEN, GREY, INK, ORANGE, SKY, new_figure, short, sober, words
from components.robustness.results import CorruptionCurve, MissingCurve, Robustness

_PANEL = (2.15, 1.75)  # inches
_MOST = 4  # panels in a row
_HEAD = 0.45  # inches for the legend


def robustness_figures(robustness: Robustness) -> dict[str, Figure]:
    """Draw every figure that has something to show, by file name without ending."""
    figures = {}
    if robustness.corruptions:
        figures["robustness"] = corruption_panels(robustness.corruptions, robustness.metric)
    if robustness.missing:
        figures["missing_rates"] = missing_panels(robustness.missing, robustness.metric)
    return figures


def corruption_panels(curves: Sequence[CorruptionCurve], metric: str) -> Figure:
    """Draw the metric over severity, one row of panels per input: delivered, alone, best other alone."""
    inputs = list(dict.fromkeys(curve.input for curve in curves))
    rows = [[curve for curve in curves if curve.input == name] for name in inputs]
    figure, grid = _panels(len(rows), max(map(len, rows)))
    _hide_unused(grid, [len(row) for row in rows])
    for line, row in zip(grid, rows, strict=True):
        for axes, curve in zip(line, row, strict=False):
            steps = [level.severity for level in curve.levels]
            _curve(axes, steps, [level.alone for level in curve.levels], SKY, "s", "damaged input alone")
            _curve(
                axes, steps, [level.delivered for level in curve.levels], GREEN, "o", "delivered, all inputs"
            )
            if curve.other_metric is not None:
                axes.axhline(
                    curve.other_metric.value, color=GREY, linewidth=1.1, linestyle=(0, (4, 3)),
                    label="best other input alone",
                )  # fmt: skip
            _title(axes, f"{short(curve.input, 12)}: {words(curve.corruption)}")
            axes.set_xticks(steps)
        line[0].set_ylabel(words(metric), color=INK)
    figure.supxlabel("severity", color=INK, fontsize=9)
    _legend(figure, grid[0][0])
    return figure


def missing_panels(curves: Sequence[MissingCurve], metric: str) -> Figure:
    """Draw the metric over the share of hidden inputs: with the mask of absent ones, and with zeros."""
    columns = min(len(curves), _MOST)
    figure, grid = _panels(-(-len(curves) // columns), columns)
    _hide_unused(grid, [min(columns, len(curves) - row * columns) for row in range(len(grid))])
    for axes, curve in zip([axes for line in grid for axes in line], curves, strict=False):
        rates = [level.rate for level in curve.levels]
        _curve(axes, rates, [level.zero_imputed for level in curve.levels], ORANGE, "s", "zeros imputed")
        _curve(axes, rates, [level.masked for level in curve.levels], GREEN, "o", "delivered (mask)")
        name = "all inputs" if len(curve.inputs) > 1 else curve.inputs[0]
        _title(axes, f"hidden: {short(name, 20)}")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for line in grid:
        line[0].set_ylabel(words(metric), color=INK)
    figure.supxlabel("chance of an input to be hidden", color=INK, fontsize=9)
    _legend(figure, grid[0][0])
    return figure


def _panels(rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    width = max(columns, 3) * _PANEL[0]
    figure = new_figure(width, rows * _PANEL[1] + _HEAD + 0.35)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat:
        sober(axes)
    return figure, grid.tolist()


def _hide_unused(grid: Sequence[Sequence[Axes]], used: Sequence[int]) -> None:
    """Show the first ``used`` panels of each row; the lowest of each column has tick labels."""
    for line, count in zip(grid, used, strict=True):
        for axes in line[count:]:
            axes.set_visible(False)
    for column in zip(*grid, strict=True):
        shown = [axes for axes in column if axes.get_visible()]
        shown[-1].tick_params(labelbottom=True)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=9, color=INK, loc="left", parse_math=False)


def _curve(
    axes: Axes, x: Sequence[float], values: Sequence[Interval], colour: str, mark: str, label: str
) -> None:
    axes.fill_between(
        x, [v.low for v in values], [v.high for v in values], color=colour, alpha=0.18, linewidth=0
    )
    axes.plot(
        x, [v.value for v in values], color=colour, linewidth=1.6, marker=mark, markersize=3.5, label=label
    )


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=len(labels), frameon=False, fontsize=9,
        labelcolor=INK, handlelength=1.6, columnspacing=1.2,
    )  # fmt: skip
