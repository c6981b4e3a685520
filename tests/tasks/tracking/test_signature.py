"""Signature of the served model: no type that pandas makes of a batch is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models.utils import _enforce_schema

from components.config import PipelineConfig
from tasks.tracking.registry import signature


@pytest.mark.parametrize(
    "cells",
    [
        [np.nan, np.nan],
        [12345, 7],
        [True, False],
        ["a", None],
        [b"a", b"b"],
        pd.Series([1, None], dtype="Int64"),
        pd.Series([True, None], dtype="boolean"),
        pd.Series(["a", "b"], dtype="category"),
        pd.to_datetime(["2024-02-03", "2024-02-04"]),
        pd.to_timedelta([1, 2], "h"),
    ],
)
def test_a_column_may_be_of_any_type(cells: Any) -> None:
    inputs = {
        "note": {"modality": "text", "columns": "text"},
        "facts": {"modality": "tabular", "columns": ["size"]},
    }
    config = PipelineConfig.model_validate({"name": "t", "data": {"source": "m.csv"}, "inputs": inputs})
    schema = signature(config, pd.DataFrame({"label": ["a"]})).inputs
    assert len(_enforce_schema(pd.DataFrame({"text": cells, "size": cells}), schema)) == 2
