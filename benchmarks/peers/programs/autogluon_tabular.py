"""AutoGluon tabular with its best preset: bagged and stacked over all rows that it may learn from."""

from pathlib import Path

import autogluon.tabular  # type: ignore[import-not-found]
import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor

from benchmarks.peers.job import Job, run

_METRICS = {
    "f1_weighted": "f1_weighted",
    "f1_macro": "f1_macro",
    "balanced_accuracy": "balanced_accuracy",
    "log_loss": "log_loss",
    "quadratic_kappa": "quadratic_kappa",
    "r2": "r2",
    "rmse": "root_mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
}


class Fitted:
    """A fitted predictor.

    Args:
        predictor: The predictor.
        job: The job.
    """

    def __init__(self, predictor: TabularPredictor, job: Job) -> None:
        self.predictor, self.job = predictor, job

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Give probabilities (N, C), or numbers (N,)."""
        if self.job.is_number:
            return self.predictor.predict(rows).to_numpy()
        return self.predictor.predict_proba(rows).reindex(columns=self.job.classes, fill_value=0.0).to_numpy()


def train(job: Job, rows: pd.DataFrame, val: pd.DataFrame, folder: Path) -> tuple[Fitted, str]:
    """Fit on training and validation rows, as bagging needs no validation rows of its own."""
    if job.task == "multilabel":
        raise SystemExit("AutoGluon tabular predicts one class or number per row, no labels")
    media = job.columns("image", "audio")
    columns = [column for column in job.columns() if column not in media]
    if not columns:
        raise SystemExit("AutoGluon tabular reads neither images nor audio, and there is no other input")
    metric = _METRICS.get(job.metric, "accuracy")
    if job.metric == "roc_auc":
        metric = "roc_auc" if len(job.classes) == 2 else "roc_auc_ovr_macro"
    kind = "regression" if job.is_number else "binary" if len(job.classes) == 2 else "multiclass"
    predictor = TabularPredictor(job.target, kind, metric, path=str(folder), verbosity=1)
    every = pd.concat([rows, val], ignore_index=True)[[*columns, job.target]]
    predictor.fit(
        every,
        presets="best_quality",
        time_limit=job.seconds,
        num_cpus=job.cores,
        num_gpus=0,
        dynamic_stacking=False,
    )
    left_out = f"; left out: {', '.join(media)}" if media else ""
    return Fitted(predictor, job), f"best_quality, {predictor.model_best}{left_out}"


if __name__ == "__main__":
    run(train, f"AutoGluon tabular {autogluon.tabular.__version__}")
