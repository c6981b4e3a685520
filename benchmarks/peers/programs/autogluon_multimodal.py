"""AutoGluon multimodal with its medium preset, whose networks are the smallest."""

from pathlib import Path

import autogluon.multimodal  # type: ignore[import-not-found]
import numpy as np
import pandas as pd
from autogluon.multimodal import MultiModalPredictor

from benchmarks.peers.job import Job, run


class Fitted:
    """A fitted predictor.

    Args:
        predictor: The predictor.
        job: The job.
    """

    def __init__(self, predictor: MultiModalPredictor, job: Job) -> None:
        self.predictor, self.job = predictor, job

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Give probabilities (N, C), or numbers (N,)."""
        if self.job.is_number:
            return self.predictor.predict(rows, as_pandas=True).to_numpy()
        shares = self.predictor.predict_proba(rows, as_pandas=True)
        return shares.reindex(columns=self.job.classes, fill_value=0.0).to_numpy()


def train(job: Job, rows: pd.DataFrame, val: pd.DataFrame, folder: Path) -> tuple[Fitted, str]:
    """Fit on training rows, stopped by validation rows."""
    if job.task == "multilabel":
        raise SystemExit("AutoGluon multimodal predicts one class or number per row, no labels")
    audio = job.columns("audio")
    columns = [column for column in job.columns() if column not in audio]
    if not columns:
        raise SystemExit("AutoGluon multimodal reads no audio, and there is no other input")
    columns = [*columns, job.target]
    kind = "regression" if job.is_number else "binary" if len(job.classes) == 2 else "multiclass"
    predictor = MultiModalPredictor(job.target, problem_type=kind, path=str(folder), verbosity=1)
    predictor.fit(
        rows[columns],
        tuning_data=val[columns],
        presets="medium_quality",
        time_limit=job.seconds,
        seed=job.seed,
        hyperparameters={"env.num_gpus": 0, "env.num_workers": 0},
    )
    left_out = f"; left out: {', '.join(audio)}" if audio else ""
    return Fitted(predictor, job), f"medium_quality{left_out}"


if __name__ == "__main__":
    run(train, f"AutoGluon multimodal {autogluon.multimodal.__version__}")
