"""A job for a peer and its result, as files: the peer's environment needs pandas and nothing of braid."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

ROWS = ("train", "val", "test", "hidden")
"""Tables of a job. ``hidden`` is test with inputs hidden at random; neither of the two has a target."""


@dataclass(frozen=True)
class Job:
    """Task of a peer.

    Attributes:
        target: Column of the target.
        task: ``classification``, ``ordinal``, ``multilabel`` or ``regression``.
        metric: Metric that the models are compared by.
        classes: Classes, or labels, in the order of the predictions' columns; none of a number.
        separator: Separator of the labels in a cell.
        inputs: Columns of each input, by modality and name.
        seconds: Time for training.
        cores: Processor cores.
        seed: Seed of every draw.
        pipeline: Values of braid's own pipeline file.
        base: Folder that its paths are relative to.
    """

    target: str
    task: str
    metric: str
    classes: list[str]
    separator: str
    inputs: dict[str, dict[str, Any]]
    seconds: float
    cores: int
    seed: int
    pipeline: dict[str, Any]
    base: str

    @property
    def is_number(self) -> bool:
        """True if the target is a number."""
        return self.task == "regression"

    def columns(self, *modalities: str) -> list[str]:
        """List the columns of the inputs of some modalities, or of all."""
        chosen = [each for each in self.inputs.values() if not modalities or each["modality"] in modalities]
        return list(dict.fromkeys(column for each in chosen for column in each["columns"]))


@dataclass(frozen=True)
class Report:
    """Costs that a peer's program measured itself.

    Attributes:
        version: The tool and its version.
        seconds: Duration of the training, until the model is on disk.
        size: Bytes of the model on disk.
        milliseconds: Per test row, from its cells and files to a prediction.
        missing: What became of test rows with hidden inputs: empty where they were predicted, else the error.
        note: Facts for the reader.
    """

    version: str
    seconds: float
    size: int
    milliseconds: float
    missing: str = ""
    note: str = ""


class Model(Protocol):
    """A trained peer."""

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Give probabilities (N, C) in the order of the job's classes, or numbers (N,)."""


def write_job(job: Job, folder: Path) -> None:
    """Write a job."""
    (folder / "job.json").write_text(json.dumps(asdict(job)), "utf-8")


def read_job(folder: Path) -> Job:
    """Read a job."""
    return Job(**json.loads((folder / "job.json").read_text("utf-8")))


def read_rows(job: Job, folder: Path, name: str) -> pd.DataFrame:
    """Read a table as a user would; classes are words even where they look like numbers."""
    table = pd.read_csv(folder / f"{name}.csv", converters={} if job.is_number else {job.target: str})
    return table.drop(columns="id")


def run(train: Callable[[Job, pd.DataFrame, pd.DataFrame, Path], tuple[Model, str]], version: str) -> None:
    """Train a peer on the job whose folder the command line names, predict, and write what it cost.

    Args:
        train: Takes the job, training rows, validation rows and an empty folder, in which it stores the
            model; gives the model and a note.
        version: The tool and its version.
    """
    folder = Path(sys.argv[1])
    job = read_job(folder)
    store = folder / "model"
    store.mkdir(exist_ok=True)
    begin = time.monotonic()
    model, note = train(job, read_rows(job, folder, "train"), read_rows(job, folder, "val"), store)
    seconds = time.monotonic() - begin
    test = read_rows(job, folder, "test")
    begin = time.monotonic()
    predicted = model.predict(test)
    milliseconds = (time.monotonic() - begin) / len(test) * 1000
    _write(job, predicted, folder / "test-predictions.csv")
    missing = ""
    try:
        _write(job, model.predict(read_rows(job, folder, "hidden")), folder / "hidden-predictions.csv")
    except Exception as error:  # what a peer makes of missing inputs is a result
        missing = f"{type(error).__name__}: {error}"
    size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    report = Report(version, seconds, size, milliseconds, missing, note)
    (folder / "report.json").write_text(json.dumps(asdict(report)), "utf-8")


def _write(job: Job, predicted: np.ndarray, file: Path) -> None:
    columns = ["value"] if job.is_number else job.classes
    pd.DataFrame(np.asarray(predicted).reshape(len(predicted), len(columns)), columns=columns).to_csv(
        file, index=False
    )
