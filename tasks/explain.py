"""Task: what was decisive inside the inputs of some test rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from prefect.artifacts import create_markdown_artifact

from components.explanations.explain import explain_samples
from components.explanations.figures import explanation_figures
from components.explanations.results import Effect, ExplainedSample, Explanations, Heatmap, Inside
from components.references import Dataset
from components.storage.atomic import write_bytes
from tasks.context import Context
from tasks.evaluate import Evaluated
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracking import runs

_WORDS = 3  # strongest words or columns that the dashboard is told of an input


@dataclass(frozen=True)
class Explained:
    """Where the explanations are.

    Attributes:
        result: JSON of :class:`components.explanations.results.Explanations`.
    """

    result: str

    def read(self) -> Explanations:
        """The explanations."""
        return Explanations.from_json(Path(self.result).read_text("utf-8", "surrogatepass"))


@step(name="explain", task_run_name="explain", tags=["evaluation"])
def explain_task(context: Context, dataset: Dataset, evaluated: Evaluated) -> Explained:
    """Look into the worst and some typical test rows; figures to MLflow, in short to the dashboard."""
    at, run = context.tracking, context.mlflow_run
    progress = Progress(context, "explain")
    with gpu_slot():
        predictions = evaluated.read_predictions()
        found = explain_samples(dataset, context.bundle, predictions, context.config, progress)
    result = context.folder / "explanations.json"
    write_bytes(result, found.to_json().encode("utf-8", "surrogatepass"))
    runs.log_file(at, run, result)
    runs.log_figures(at, run, explanation_figures(found))
    runs.log_table(at, run, table(found), "explanations")
    create_markdown_artifact(_markdown(found), key="explanations")
    progress.finish(f"{len(found.samples)} rows looked into")
    return Explained(str(result))


def table(found: Explanations) -> pd.DataFrame:
    """One row for each input of each sample: share, what the answer loses without it, strongest part."""
    return pd.DataFrame(
        [
            {
                "id": sample.id,
                "kind": sample.kind,
                "answer": sample.predicted,
                "truth": sample.label,
                "input": name,
                "share": round(sample.shares[name], 4),
                "without it": round(sample.without[name], 4),
                "strongest part": _strongest(inside),
                "effect": round(inside.strongest, 4),
            }
            for sample in found.samples
            for name, inside in sample.inside.items()
        ]
    )


def _markdown(found: Explanations) -> str:
    return "\n\n".join(["# Explanations", *map(_sample, found.samples)])


def _sample(sample: ExplainedSample) -> str:
    lines = [
        f"- {name}: share {sample.shares[name]:+.3f}; strongest: {_strongest(inside)} "
        f"({inside.strongest:+.3f})"
        for name, inside in sample.inside.items()
    ]
    truth = "" if sample.label == sample.predicted else f", in truth **{_plain(sample.label)}**"
    head = f"**{_plain(sample.predicted)}**{truth} (`{_plain(sample.id)}`, {sample.kind})"
    return "\n".join([head, "", *lines])


def _strongest(inside: Inside) -> str:
    """Name the strongest part: words, columns, a region or a stretch of time."""
    if not inside.heatmaps:
        parts = [part for part in inside.effects if part.effect is not None]
        parts.sort(key=lambda part: -abs(part.effect or 0.0))
        return ", ".join(_plain(_named(part)) for part in parts[:_WORDS])
    heatmap = max(inside.heatmaps, key=lambda heatmap: abs(heatmap.strongest))
    region = _strongest_region(heatmap)
    return f"{_plain(heatmap.column)}: {region}" if inside.several else region


def _strongest_region(heatmap: Heatmap) -> str:
    rows, columns = len(heatmap.grid), len(heatmap.grid[0])
    row, column = max(
        ((row, column) for row in range(rows) for column in range(columns)),
        key=lambda region: abs(heatmap.grid[region[0]][region[1]]),
    )
    if heatmap.seconds:
        width = heatmap.seconds / columns
        return f"{column * width:.2f} to {(column + 1) * width:.2f} s, band {rows - row} of {rows} from below"
    return f"row {row + 1}, column {column + 1} of {rows} × {columns}"


def _named(part: Effect) -> str:
    return f"{part.name} = {part.text}" if part.name else part.text


def _plain(text: str) -> str:
    """On one line and short, so that it cannot become markup."""
    return " ".join(text.split())[:60].translate(str.maketrans("`*<>|", "'·‹›¦"))
