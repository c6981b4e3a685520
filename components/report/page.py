"""The HTML report: one file that needs nothing else, for a browser, a mail or MLflow's artifact view."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.evaluation.figures import all_figures
from components.evaluation.results import Evaluation
from components.evaluation.samples import Media
from components.evaluation.style import svg, words
from components.explanations.heatmap import overlay_png, tint
from components.explanations.results import Heatmap
from components.references import Dataset, Missing
from components.report import tables
from components.report.content import Report
from components.report.data_summary import summarise
from components.results.table import Table
from components.robustness.figures import robustness_figures
from components.storage.atomic import write_bytes


def write_report(
    file: Path,
    dataset: Dataset,
    evaluations: Sequence[Evaluation],
    optional: Mapping[str, Any],
    missing: Sequence[Missing] = (),
    **shown: Any,
) -> Report:
    """Write the page of a run, and give its content.

    Args:
        file: The page.
        dataset: Reference to the samples.
        evaluations: Evaluation of every target, the primary one first.
        optional: Results of the optional steps by step, or :class:`Missing`.
        missing: What is missing besides these.
        shown: Other fields of :class:`Report`.
    """
    primary, *further = evaluations
    failed = [each for each in optional.values() if isinstance(each, Missing)]
    results = {step: None if isinstance(each, Missing) else each for step, each in optional.items()}
    report = Report(
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        evaluation=primary,
        data=summarise(dataset),
        further=tuple(further),
        robustness=results.get("robustness"),
        explanations=results.get("explain"),
        retrieval=results.get("retrieval"),
        audit=results.get("audit"),
        missing=(*failed, *missing),
        **shown,
    )
    write_bytes(file, render_report(report).encode("utf-8", "surrogatepass"))
    return report


def render_report(report: Report) -> str:
    """Write the report as one HTML page: styles, figures and media inside, no script, no link.

    Everything that comes from the user's data is escaped.
    """
    evaluations = [report.evaluation, *report.further]
    drawn = [
        all_figures(evaluation, report.curves if evaluation is report.evaluation else ())
        for evaluation in evaluations
    ]
    if report.robustness is not None:
        drawn[0] |= robustness_figures(report.robustness)
    # Safe: matplotlib escapes the text it writes.
    figures = [{name: Markup(svg(figure)) for name, figure in each.items()} for each in drawn]
    return _ENVIRONMENT.get_template("page.html.j2").render(
        report=report,
        e=report.evaluation,
        evaluations=evaluations,
        all_figures=figures,
        figures=figures[0],
    )


def render_table(table: Table) -> Markup:
    """Write a table of a result as HTML, every cell escaped."""
    return Markup(_ENVIRONMENT.get_template("table.html.j2").module.table(table))  # type: ignore[attr-defined]


def _number(value: float, digits: int = 3) -> str:
    """Write a value to three digits after the point, an en dash where it is not defined."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−") if isfinite(value) else "–"


def _signed(value: float) -> str:
    """Write a value with its sign, none at 0."""
    return f"+{_number(value)}" if round(value, 3) > 0 else _number(value)


def _p_value(value: float) -> str:
    if value < 0.001:
        return "< 0.001"
    return _number(value)


def _thousands(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def _data_uri(media: Media) -> str:
    return f"data:{media.mime};base64,{b64encode(media.data or b'').decode()}"


def _png_uri(data: bytes) -> str:
    return f"data:image/png;base64,{b64encode(data).decode()}"


def _heat_uri(heatmap: Heatmap, strongest: float) -> str:
    return _png_uri(overlay_png(heatmap.grid, strongest))


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "table": render_table,
    "number": _number,
    "signed": _signed,
    "p_value": _p_value,
    "thousands": _thousands,
    "words": words,
    "data_uri": _data_uri,
    "png_uri": _png_uri,
    "heat_uri": _heat_uri,
    "tint": tint,
}
_ENVIRONMENT.globals |= {
    "gains": tables.gains,
    "balance": tables.balance,
    "metrics": tables.metrics,
    "calibration": tables.calibration,
    "training": tables.training,
    "splits": tables.splits,
    "missing": tables.missing,
    "classes": tables.classes,
    "quarantine": tables.quarantine,
}
