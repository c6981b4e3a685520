"""Number of times that the steps of a run open the samples table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from components.audit.run import audit
from components.data.ingest import ingest
from components.data.samples import SampleRows, open_samples_table
from components.explanations.explain import explain_samples
from components.pipeline.evaluate import evaluate_model
from components.pipeline.run import build_model
from components.promotion.compare import Rival, compare
from components.robustness.measure import measure_robustness
from tests.components.conftest import configure


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by the path of a samples table whenever a reader of Parquet files opens one."""
    paths: list[str] = []

    def counted(reader: Callable[..., Any], argument: int) -> Callable[..., Any]:
        def read(*arguments: Any, **options: Any) -> Any:
            if str(arguments[argument]).endswith("samples.parquet"):
                paths.append(str(arguments[argument]))
            return reader(*arguments, **options)

        return read

    monkeypatch.setattr(pq.ParquetFile, "__init__", counted(pq.ParquetFile.__init__, 1))
    for module, name in ((pq, "read_table"), (pq, "read_schema"), (pd, "read_parquet")):
        monkeypatch.setattr(module, name, counted(getattr(module, name), 0))
    return paths


def test_a_whole_run_opens_the_table_at_most_nine_times(
    tiny_data: Path, tmp_path: Path, openings: list[str]
) -> None:
    config = configure(
        evaluation={
            "bootstrap": 100,
            "robustness": {"rows": 8, "severities": [3]},
            "explanations": {"samples": 1, "detail": 16},
        }
    )
    built = build_model(config, tmp_path, tiny_data)
    evaluated = evaluate_model(
        built.dataset, built.selection, built.features, built.fused, built.bundle, config
    )
    measure_robustness(built.dataset, built.bundle, evaluated.evaluations[0], config)
    explain_samples(built.dataset, built.bundle, evaluated.predictions, config)
    audit(built.dataset, built.prepared, built.features, evaluated.evaluations[0], config)
    compare(
        built.dataset, Rival(built.bundle, "new"), Rival(built.bundle, "old"), config, tmp_path, tiny_data
    )
    assert 1 <= len(openings) <= 9, openings


def test_a_table_that_another_replaces_under_its_path_is_opened_again(
    tiny_data: Path, tmp_path: Path, openings: list[str]
) -> None:
    """The digest says nothing of paths: data that have moved give another table for the same one."""
    dataset = ingest(configure(), tmp_path, tiny_data)
    first = open_samples_table(dataset)
    assert open_samples_table(dataset) is first
    path = Path(dataset.samples)
    table = pq.ParquetFile(path).read()
    cells = table.column("photo.path").to_pylist()
    index = table.column_names.index("photo.path")
    moved = table.set_column(index, "photo.path", [[cell and f"/elsewhere{cell}" for cell in cells]])
    pq.write_table(moved, path.with_suffix(".new"))
    path.with_suffix(".new").rename(path)
    again = open_samples_table(dataset).rows(["photo"], values=True)
    assert again["photo.path"].dropna().str.startswith("/elsewhere").all()
    assert len(openings) == 3


def test_rows_of_one_split_are_those_of_the_whole_table(tiny_data: Path, tmp_path: Path) -> None:
    table = open_samples_table(ingest(configure(), tmp_path, tiny_data))
    for values in (False, True):
        whole = table.rows(["photo", "facts"], values=values)
        test = whole[whole["split"] == "test"]
        pd.testing.assert_frame_equal(
            table.split("test", ["photo", "facts"], values=values), test.reset_index(drop=True)
        )
        some = SampleRows(table, ["photo", "facts"], test.index.to_numpy()[3:9], values=values)
        pd.testing.assert_frame_equal(some[:], test.iloc[3:9].reset_index(drop=True))
