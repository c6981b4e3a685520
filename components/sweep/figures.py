"""Figure of a sweep."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from components.evaluation.figures import interval_rows
from components.evaluation.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY
from components.sweep.ranking import Ranking, Row

_KINDS = {
    "single": SKY,
    "average": ORANGE,
    "late": ORANGE,
    "ideal": PURPLE,
    "fusion": BLUE,
    "ensemble": PURPLE,
    "delivered": GREEN,
}


def ranking_figure(ranking: Ranking, rows: Sequence[Row]) -> Figure:
    """Draw the test metric of every model with its interval, and a line at the best single input."""
    names = [row.model for row in rows]
    colours = [_KINDS[row.kind] for row in rows]
    figure = interval_rows(names, [row.test for row in rows], colours, ranking.metric)
    single = next(row for row in ranking.rows if row.model == ranking.best_single and row.kind == "single")
    (axes,) = figure.axes
    axes.axvline(single.test.value, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    return figure
