"""One figure for distillation: every student with and without its teacher, and the teacher."""

from matplotlib.figure import Figure

from components.distillation.results import DistillationResult
from components.evaluation.style import BLUE, GREEN, GREY, INK, legend, row_axes, words


def gains(result: DistillationResult) -> Figure:
    """Draw one line per student: an arrow per seed from alone to taught, means as marks; and the teacher."""
    names = [f"{student.name} ({' + '.join(student.inputs)})" for student in result.students]
    figure, axes = row_axes(names, f"test {words(result.metric)}, mean of the seeds", longest=38)
    axes.axvline(result.teacher.value, color=GREEN, linewidth=1.2, label="teacher")
    axes.axvspan(result.teacher.low, result.teacher.high, color=GREEN, alpha=0.12, linewidth=0)
    for row, student in enumerate(result.students):
        count = len(student.seeds)
        for number, seed in enumerate(student.seeds):
            height = row + 0.5 * ((number + 1) / (count + 1) - 0.5)
            axes.annotate(
                "", (seed.taught.value, height), (seed.alone.value, height),
                arrowprops={"arrowstyle": "->", "color": GREY, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
            )  # fmt: skip
        first = row == 0
        axes.plot(student.alone, row, "o", color=INK, markersize=5, label="alone" if first else None)
        axes.plot(student.taught, row, "D", color=BLUE, markersize=5, label="with teacher" if first else None)
    axes.margins(x=0.1)
    legend(axes, 3)
    return figure
