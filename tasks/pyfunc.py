"""The model as MLflow serves it ("models from code"): the bundle behind pyfunc's interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from components.predictor import Predictor


class FusedModel(PythonModel):
    """Scores rows of which each may have any non-empty subset of the inputs."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the bundle on the best device."""
        self.predictor = Predictor(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score a table; see :meth:`components.predictor.Predictor.predict`.

        Args:
            context: Unused, the bundle is open.
            model_input: Columns of the pipeline file; media as path, bytes or base64 text, nulls allowed.
            params: ``inputs``: names of the inputs that may be used, joined by commas; empty allows all.
                ``explain``: add what each input added to the answer (columns ``share_<input>``).
        """
        given = params or {}
        names = [name.strip() for name in str(given.get("inputs", "")).split(",") if name.strip()]
        return self.predictor.predict(model_input, names or None, bool(given.get("explain", False)))


mlflow.models.set_model(FusedModel())
