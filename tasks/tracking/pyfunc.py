"""Model for MLflow to serve ("models from code"): the bundle behind pyfunc's interface."""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel, PythonModelContext

_CODE = Path(__file__).parent / "code"  # stored with the model; absent while the model is logged
_PACKAGE = "components"


@contextmanager
def _own_code() -> Iterator[None]:
    """Import the code that is stored with this model, also where the process has that of another model.

    MLflow puts the folder on the path, but Python imports a package of one name only once.
    """
    loaded = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == _PACKAGE}
    foreign = _CODE.is_dir() and loaded and not Path(str(loaded[_PACKAGE].__file__)).is_relative_to(_CODE)
    if not foreign:
        yield
        return
    for name in loaded:
        del sys.modules[name]
    sys.path.insert(0, str(_CODE))
    try:
        yield
    finally:
        sys.path.remove(str(_CODE))
        for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
            del sys.modules[name]
        sys.modules.update(loaded)


with _own_code():
    from components.errors import BraidError
    from components.inference.predictor import Predictor

FILES = "BRAID_SERVE_FILES"  # 1: requests to `mlflow models serve` may name files and URLs that it reads


class FusedModel(PythonModel):
    """Model that scores rows with any non-empty subset of the inputs."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the bundle on the best device."""
        self.predictor = Predictor(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score a table; see :meth:`components.inference.predictor.Predictor.predict`.

        Behind `mlflow models serve`, text in a media cell is base64 and nothing else, unless the environment
        has ``BRAID_SERVE_FILES=1``. A number that is not finite becomes null, since JSON has no other.

        Args:
            context: Unused, the bundle is open.
            model_input: Columns of the pipeline file; media as path, bytes or base64 text, nulls allowed.
            params: ``inputs``: names of the inputs that may be used, joined by commas; empty allows all.
                ``explain``: add the share of each input in the prediction (columns ``share_<input>``).

        Raises:
            MlflowException: If the table has no column of the model, or ``params`` are not valid. A server
                responds with status 400.
        """
        given = params or {}
        names = [name.strip() for name in str(given.get("inputs", "")).split(",") if name.strip()]
        for_server = _is_served()
        self.predictor.files = not for_server or os.environ.get(FILES) == "1"
        if not set(self.predictor.columns) & set(model_input.columns):
            # MLflow drops other columns, and with them the number of rows
            raise MlflowException.invalid_parameter_value(
                f"no row has a column of this model ({', '.join(self.predictor.columns)}); any may be "
                "missing or null, but not all missing"
            )
        try:
            scored = self.predictor.predict(model_input, names or None, bool(given.get("explain", False)))
        except BraidError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        return _for_json(scored) if for_server else scored


def _for_json(scored: pd.DataFrame) -> pd.DataFrame:
    """Replace numbers that JSON has not by null: undefined ones, and the bounds of open intervals."""
    known = scored.notna() & ~scored.isin([math.inf, -math.inf])
    return scored.astype(object).where(known, None)


def _is_served() -> bool:
    """Return whether this process is MLflow's scoring server; MLflow sets this after ``load_context``."""
    return os.environ.get("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "").lower() in ("true", "1")


mlflow.models.set_model(FusedModel())
