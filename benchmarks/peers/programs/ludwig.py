"""Ludwig with the encoders of its defaults, trained until validation no longer improves or time is up."""

from pathlib import Path
from typing import Any

import ludwig.globals  # type: ignore[import-not-found]
import numpy as np
import pandas as pd
from ludwig.api import LudwigModel  # type: ignore[import-not-found]

from benchmarks.peers.job import Job, run

_EPOCHS = 200  # more than time allows


class Fitted:
    """A trained model.

    Args:
        model: The model.
        job: The job.
    """

    def __init__(self, model: LudwigModel, job: Job) -> None:
        self.model, self.job = model, job

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Give probabilities (N, C), or numbers (N,)."""
        made, _ = self.model.predict(rows, skip_save_unprocessed_output=True, skip_save_predictions=True)
        if self.job.is_number:
            return made[f"{self.job.target}_predictions"].to_numpy(float)
        shares = [made.get(f"{self.job.target}_probabilities_{name}") for name in self.job.classes]
        return np.stack([np.zeros(len(rows)) if each is None else each for each in shares], axis=1)


def train(job: Job, rows: pd.DataFrame, val: pd.DataFrame, folder: Path) -> tuple[Fitted, str]:
    """Train on training rows, stopped by validation rows."""
    if job.task == "multilabel":
        raise SystemExit(
            "Ludwig's set feature takes labels apart by spaces, not by the separator of this column"
        )
    features = [
        {"name": column, "type": _type(section["modality"], rows[column])}
        for section in job.inputs.values()
        for column in section["columns"]
    ]
    output = {"name": job.target, "type": _output(job)}
    config: dict[str, Any] = {
        "input_features": features,
        "output_features": [output],
        "trainer": {"epochs": _EPOCHS, "early_stop": 5, "train_seconds": job.seconds},
    }
    model = LudwigModel(config, logging_level=40)
    model.train(
        training_set=rows,
        validation_set=val,
        random_seed=job.seed,
        output_directory=str(folder.parent / "log"),
    )
    model.save(str(folder))
    return Fitted(model, job), "defaults of each feature"


def _type(modality: str, cells: pd.Series) -> str:
    if modality != "tabular":
        return modality
    return "number" if pd.api.types.is_numeric_dtype(cells) else "category"


def _output(job: Job) -> str:
    if job.is_number:
        return "number"
    return "binary" if set(job.classes) <= {"0", "1"} else "category"


if __name__ == "__main__":
    run(train, f"Ludwig {ludwig.globals.LUDWIG_VERSION}")
