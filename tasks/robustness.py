"""Task: what damaged and missing inputs cost the delivered model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from prefect.artifacts import create_table_artifact

from components.references import Dataset
from components.robustness.figures import robustness_figures
from components.robustness.measure import measure_robustness
from components.robustness.results import Robustness
from components.storage.atomic import write_bytes
from tasks.context import Context
from tasks.evaluate import Evaluated
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracking import runs

_CAPTIONS = {
    "robustness": "Test rows with one input damaged. Relative: share of the undamaged result that is left; "
    "effective: what is left beyond what that input's own model has left.",
    "missing_rates": "Test rows with inputs hidden at random: the model told what is absent (mask), and the "
    "same model given zeros instead.",
}


@dataclass(frozen=True)
class Stressed:
    """Where the robustness curves are.

    Attributes:
        result: JSON of :class:`components.robustness.results.Robustness`.
    """

    result: str

    def read(self) -> Robustness:
        """The curves."""
        return Robustness.from_json(Path(self.result).read_text("utf-8"))


@step(name="robustness", task_run_name="robustness", tags=["evaluation"])
def robustness_task(context: Context, dataset: Dataset, evaluated: Evaluated) -> Stressed:
    """Score damaged and incomplete copies of test rows; curves to MLflow, tables to the dashboard."""
    at, run = context.tracking, context.mlflow_run
    progress = Progress(context, "robustness")
    with gpu_slot():
        found = measure_robustness(dataset, context.bundle, evaluated.read(), context.config, progress)
    result = context.folder / "robustness.json"
    write_bytes(result, found.to_json().encode())

    runs.log_metrics(at, run, _metrics(found))
    runs.log_figures(at, run, robustness_figures(found))
    for name, table in tables(found).items():
        runs.log_table(at, run, table, name)
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        key, caption = name.replace("_", "-"), _CAPTIONS[name]
        create_table_artifact(rows, key=key, description=caption)  # type: ignore[arg-type]
    runs.log_file(at, run, result)
    progress.finish(headline(found))
    return Stressed(str(result))


def headline(found: Robustness) -> str:
    """The result in one line."""
    if found.half is not None:
        level = found.half
        return (
            f"{found.metric} {level.masked.value:.3f} with {level.rate:.0%} of all inputs hidden, "
            f"{level.zero_imputed.value:.3f} with zeros in their place"
        )
    worst = found.worst
    if worst is None:
        return "nothing was asked for"
    return f"{worst.corruption} on {worst.input} costs most: {found.metric} {-worst.loss:+.3f}"


def tables(found: Robustness) -> dict[str, pd.DataFrame]:
    """What the curves come to: one row a corruption, one row a rate; those that have any."""
    metric = found.metric
    corruptions = [
        {
            "input": curve.input,
            "corruption": curve.corruption,
            "rows": curve.rows,
            f"{metric} undamaged": curve.levels[0].delivered.value,
            f"{metric} at severity {curve.levels[-1].severity}": curve.levels[-1].delivered.value,
            "that input alone": curve.levels[-1].alone.value,
            "relative robustness": curve.relative,
            "effective robustness": curve.effective,
        }
        for curve in found.corruptions
    ]
    missing = [
        {
            "hidden": " + ".join(curve.inputs),
            "rate": level.rate,
            f"{metric} with mask": level.masked.value,
            f"{metric} with zeros": level.zero_imputed.value,
            "gain": level.gain.value,
            "low": level.gain.low,
            "high": level.gain.high,
            "rows without any input": level.empty,
        }
        for curve in found.missing
        for level in curve.levels
    ]
    named = {"robustness": corruptions, "missing_rates": missing}
    return {name: pd.DataFrame(rows).round(4) for name, rows in named.items() if rows}


def _metrics(found: Robustness) -> dict[str, float]:
    """Flat metrics: ``robustness_image_jpeg_relative``, ``missing_50_zero_imputed_accuracy``, ..."""
    values: dict[str, float] = {}
    for curve in found.corruptions:
        name = f"robustness_{curve.input}_{curve.corruption}"
        values |= {f"{name}_relative": curve.relative, f"{name}_effective": curve.effective}
        for level in curve.levels[1:]:
            values[f"{name}_{level.severity}_{found.metric}"] = level.delivered.value
    for missing in found.missing:
        whose = "" if missing is found.everything else f"_{'_and_'.join(missing.inputs)}"
        for gap in missing.levels:
            name = f"missing{whose}_{100 * gap.rate:g}"
            values[f"{name}_{found.metric}"] = gap.masked.value
            values[f"{name}_zero_imputed_{found.metric}"] = gap.zero_imputed.value
            values[f"{name}_gain_over_zeros"] = gap.gain.value
    return {name: value for name, value in values.items() if value == value}  # not those that are not defined
