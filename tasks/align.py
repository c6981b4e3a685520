"""Tasks: learn across modalities, and judge the search that comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from prefect.artifacts import create_table_artifact

from components.objectives import Pairwise
from components.pipeline.align import align, open_aligned, pretrain
from components.references import Dataset, FusedModel, Prepared, Trained
from components.retrieval.evaluate import judge_retrieval
from components.retrieval.results import Retrieval, Retrievals
from components.storage.atomic import write_bytes
from tasks.context import Context
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracked_training import tracked
from tasks.tracking import runs


@dataclass(frozen=True)
class Retrieved:
    """Where the judgement of search is.

    Attributes:
        result: JSON of :class:`components.retrieval.results.Retrievals`.
    """

    result: str

    def read(self) -> Retrievals:
        """The judgement."""
        return Retrievals.from_json(Path(self.result).read_text("utf-8"))


@step(name="pretrain", task_run_name="align encoders before their fits", tags=["training"])
def pretrain_task(context: Context, dataset: Dataset, prepared: dict[str, Prepared]) -> Trained:
    """Train encoders from scratch across modalities."""
    assert context.config.alignment is not None
    with gpu_slot(context.config.engine):
        steps = pretrain(dataset, prepared, context.config, context.cache / "trainings")
        epochs = context.config.alignment.training.epochs
        return tracked(context, "pretraining", steps, epochs, kind="alignment", metric=Pairwise.metric)


@step(name="align", task_run_name="align", tags=["training"])
def align_task(context: Context, dataset: Dataset, fused: FusedModel) -> Trained:
    """Train the projections that search goes by, on the features that the fusion takes."""
    assert context.config.alignment is not None
    with gpu_slot(context.config.engine):
        steps = align(dataset, fused.features, context.config, context.cache / "trainings")
        epochs = context.config.alignment.training.epochs
        return tracked(context, "alignment", steps, epochs, kind="alignment", metric=Pairwise.metric)


@step(name="retrieval", task_run_name="retrieval", tags=["evaluation"])
def retrieval_task(context: Context, dataset: Dataset, fused: FusedModel, aligned: Trained) -> Retrieved:
    """Search from every input to every other on test; to MLflow, a table to the dashboard."""
    at, run = context.tracking, context.mlflow_run
    progress = Progress(context, "retrieval")
    network = open_aligned(aligned, fused.features, context.config)
    found = judge_retrieval(dataset, fused.features, network, context.config)
    result = context.folder / "retrieval.json"
    write_bytes(result, found.to_json().encode())

    runs.log_metrics(at, run, metrics(found))
    runs.log_table(at, run, table(found), "retrieval")
    caption = f"Search on test: {headline(found)}"
    create_table_artifact(table(found).to_dict("records"), key="retrieval", description=caption)  # type: ignore[arg-type]
    runs.log_file(at, run, result)
    progress.finish(headline(found) or "no row has two inputs")
    return Retrieved(str(result))


def headline(found: Retrievals) -> str:
    """Recall at 1 of every direction in one line: by class where there are classes."""
    by_class = [each for each in found.each if each.right == "class"]
    return ", ".join(map(_short, by_class or found.each))


def _short(each: Retrieval) -> str:
    name = "class recall@1" if each.right == "class" else "recall@1"
    recall, chance = each.metrics["recall_1"].value, each.chance["recall_1"]
    return f"{each.query} → {each.gallery} {name} {recall:.3f} (chance {chance:.3f})"


def table(found: Retrievals) -> pd.DataFrame:
    """One row a direction and kind of right answer; beside each metric its interval and chance."""
    rows = []
    for each in found.each:
        row: dict[str, object] = {
            "from": each.query,
            "to": each.gallery,
            "right": f"same {each.right}",
            "queries": each.queries,
            "gallery": each.rows,
        }
        for name, interval in each.metrics.items():
            row |= {
                name: round(interval.value, 4),
                f"{name} low": round(interval.low, 4),
                f"{name} high": round(interval.high, 4),
                f"{name} chance": round(each.chance[name], 4),
            }
        rows.append(row)
    return pd.DataFrame(rows)


def metrics(found: Retrievals) -> dict[str, float]:
    """Flat metrics: ``retrieval_image_to_audio_recall_1``, ``retrieval_image_to_audio_class_recall_5``"""
    values: dict[str, float] = {}
    for each in found.each:
        for name, interval in each.metrics.items():
            key = f"retrieval_{each.name}_{name}"
            values |= {key: interval.value, f"{key}_low": interval.low, f"{key}_high": interval.high}
            values[f"{key}_chance"] = each.chance[name]
    return values
