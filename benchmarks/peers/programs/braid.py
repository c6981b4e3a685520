"""braid in a plain process, with the defaults of the pipeline."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.peers.job import Job, run
from components.config.load import configured
from components.inference.predictor import Predictor, predictions_of
from components.pipeline.evaluate import evaluate_model
from components.pipeline.run import BuiltModel, build_model
from components.targets import Regression


class Delivered:
    """The delivered model.

    Args:
        built: The model and its parts.
    """

    def __init__(self, built: BuiltModel) -> None:
        self.predictor, self.targets = Predictor(built.bundle), built.dataset.targets

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Give probabilities (N, C), or numbers (N,)."""
        target = self.targets.primary
        predicted = predictions_of(target, self.predictor.predict(rows), len(self.targets) > 1)
        return predicted[:, 0] if isinstance(target, Regression) else predicted


def train(job: Job, rows: pd.DataFrame, val: pd.DataFrame, folder: Path) -> tuple[Delivered, str]:
    """Train on the rows that the pipeline itself divides alike."""
    config = configured(job.pipeline, [f"seed={job.seed}"], "the pipeline")
    built = build_model(config, folder.parent, Path(job.base), bundle=folder.name)
    return Delivered(built), note(built)


def note(built: BuiltModel) -> str:
    """Tell what was delivered, and what every candidate has on validation and on test."""
    evaluation = evaluate_model(
        built.dataset,
        built.selection,
        built.features,
        built.fused,
        built.bundle,
        built.config,
        built.singles,
    ).evaluations[0]
    (built.folder / "evaluation.json").write_text(evaluation.to_json(), "utf-8")
    candidates = ", ".join(
        f"{each.name} {each.on_validation(evaluation.metric):.3f}/{each.on_test(evaluation.metric).value:.3f}"
        for each in evaluation.candidates
    )
    return f"{evaluation.chosen} delivered; validation/test: {candidates}"


if __name__ == "__main__":
    run(train, f"braid {version('braid')}")
