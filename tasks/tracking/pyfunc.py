"""The model as MLflow serves it ("models from code"): the bundle behind pyfunc's interface."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel, PythonModelContext

from components.errors import BraidError
from components.inference.predictor import Predictor

FILES = "BRAID_SERVE_FILES"  # 1: a request to `mlflow models serve` may name files and URLs for it to read


class FusedModel(PythonModel):
    """Scores rows of which each may have any non-empty subset of the inputs."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the bundle on the best device."""
        self.predictor = Predictor(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score a table; see :meth:`components.inference.predictor.Predictor.predict`.

        Behind `mlflow models serve`, text in a media cell is base64 and nothing else, unless the environment
        says ``BRAID_SERVE_FILES=1``; and what is not a finite number is null, since JSON has no other.

        Args:
            context: Unused, the bundle is open.
            model_input: Columns of the pipeline file; media as path, bytes or base64 text, nulls allowed.
            params: ``inputs``: names of the inputs that may be used, joined by commas; empty allows all.
                ``explain``: add what each input added to the answer (columns ``share_<input>``).

        Raises:
            MlflowException: If the table has no column of the model, or ``params`` cannot be followed. A
                server answers it with status 400.
        """
        given = params or {}
        names = [name.strip() for name in str(given.get("inputs", "")).split(",") if name.strip()]
        served = _is_served()
        self.predictor.files = not served or os.environ.get(FILES) == "1"
        if not set(self.predictor.columns) & set(model_input.columns):
            # MLflow drops other columns, and with them how many rows there were
            raise MlflowException.invalid_parameter_value(
                f"no row has a column of this model ({', '.join(self.predictor.columns)}); any may be "
                "left out or null, not all left out"
            )
        try:
            scored = self.predictor.predict(model_input, names or None, bool(given.get("explain", False)))
        except BraidError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        return _for_json(scored) if served else scored


def _for_json(scored: pd.DataFrame) -> pd.DataFrame:
    """Null for what JSON has no number for: what is not defined, and an interval without a bound."""
    known = scored.notna() & ~scored.isin([math.inf, -math.inf])
    return scored.astype(object).where(known, None)


def _is_served() -> bool:
    """Return whether this process is MLflow's scoring server, which says so once the model is open."""
    return os.environ.get("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "").lower() in ("true", "1")


mlflow.models.set_model(FusedModel())
