"""Style of the figures: colours, axes, and SVG whose colours follow the page into dark mode."""

import io
import re
import threading
import warnings
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 4.2  # inches, so that 9-point text is readable when the figure is as wide as a phone
INK, LINE, GREY = "#1f252c", "#dde1e6", "#868e98"
BLUE, SKY, GREEN = "#0072b2", "#56b4e9", "#009e73"  # Okabe & Ito 2008: which the colour-blind distinguish too
ORANGE, RED, PURPLE = "#e69f00", "#d55e00", "#cc79a7"

# The page's stylesheet gives each of these another value when it is dark.
_VARIABLES = {INK: "--ink", LINE: "--line", GREY: "--soft", BLUE: "--blue", SKY: "--sky", GREEN: "--green"}
_VARIABLES |= {ORANGE: "--orange", RED: "--red", PURPLE: "--purple"}
_WORDS = {
    "roc_auc": "ROC AUC",
    "f1": "F1",
    "brier": "Brier score",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
    "mape": "MAPE",
}
_KINDS = {"macro", "micro", "weighted", "adaptive"}
_RC_LOCK = threading.Lock()  # rcParams belong to the process, reports may be written by several threads


def new_figure(width: float, height: float) -> Figure:
    """Make an empty white figure, in inches, that fits its parts together by itself."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def row_axes(names: Sequence[str], label: str, longest: int = 24) -> tuple[Figure, Axes]:
    """Make a figure with one horizontal line per name, the first at the top, and a labelled axis."""
    figure = new_figure(WIDTH, 0.9 + 0.3 * max(len(names), 1))
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), [short(name, longest) for name in names], parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel(label, color=INK)
    sober(axes)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    return figure, axes


def sober(axes: Axes) -> None:
    """Set a light grid behind the data, no frame above and to the right, and small dark text."""
    axes.set_axisbelow(True)
    axes.grid(color=LINE, linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(length=0, labelsize=9, labelcolor=INK, color=GREY)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)


def legend(axes: Axes, columns: int) -> None:
    """Draw a frameless legend above the axes, where it covers nothing."""
    box = axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, frameon=False, fontsize=9,
        labelcolor=INK, handlelength=1.4, columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip
    for text in box.get_texts():
        text.set_parse_math(False)


def short(text: str, longest: int = 24) -> str:
    """Write text on one line, without its middle beyond `longest` characters."""
    line = " ".join(text.split())
    half = (longest - 1) // 2
    return line if len(line) <= longest else f"{line[:half]}…{line[-half:]}"


def words(metric: str) -> str:
    """Write a metric's name for people: roc_auc → ROC AUC, f1_macro → F1 (macro)."""
    if metric in _WORDS:
        return _WORDS[metric]
    name, _, kind = metric.rpartition("_")
    return f"{words(name)} ({kind})" if kind in _KINDS and name else metric.replace("_", " ")


def svg(figure: Figure) -> str:
    """Write the figure as an <svg> element for a page: transparent, text as text, colours as CSS variables.

    The variables are --ink, --line, --soft and the names of the colours; each falls back on its light value.
    """
    out = io.BytesIO()
    with (
        _RC_LOCK,
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "braid"}),
        warnings.catch_warnings(),
    ):
        # Text is drawn by the browser, which has the emoji and scripts that DejaVu lacks.
        warnings.filterwarnings("ignore", message=".*missing from font")
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = out.getvalue().decode()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r' (?:width|height)="[^"]*"', "", drawn, count=2)  # as the page's styles set the width
    # as figure_1 and so on would repeat in the page
    drawn = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", drawn)
    for colour, variable in _VARIABLES.items():
        drawn = re.sub(rf"(?<=: ){colour}\b", f"var({variable}, {colour})", drawn)
    return re.sub(r"font: ([\d.]+px)[^;\"]*", r"font: \1 system-ui, sans-serif", drawn)
