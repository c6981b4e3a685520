"""Columns as ingest reads them: numbers, dates and empty cells by one rule per column, kept and shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.config.inputs import TabularInput
from components.data.spelling import Spelling
from components.data.values import read_cells

Make = Callable[..., Any]


def facts(*columns: str, **options: Any) -> dict[str, Any]:
    return {"facts": {"modality": "tabular", "columns": list(columns), **options}}


def csv(path: Path, columns: dict[str, list[str]], separator: str = ",") -> Path:
    """A CSV file with ids, labels and splits beside the columns; the cells are repeated to 40 rows."""
    table = {name: [cells[row % len(cells)] for row in range(40)] for name, cells in columns.items()}
    frame = pd.DataFrame({"id": range(40), "split": ["val", "test", "train", "train"] * 10, **table})
    if "label" not in frame:
        frame["label"] = ["a", "b"] * 20
    frame.to_csv(path, index=False, sep=separator)
    return path


def cells(dataset: Any, column: str, count: int) -> list[str | None]:
    samples = pd.read_parquet(dataset.samples)[column].astype(object)
    return samples.where(samples.notna(), None).tolist()[:count]


def test_inputs_and_targets_have_one_rule_which_is_kept_and_shown(tmp_path: Path, run: Make) -> None:
    written = ["1,25", "1,250", "0,5", "1.234,5"]
    source = csv(tmp_path / "t.csv", {"kg": written, "price": written, "other": ["2,125"]}, ";")
    dataset = run(source, facts("kg", "other"), target={"task": "regression", "column": "price"})
    assert cells(dataset, "facts.kg", 4) == ["1.25", "1.25", "0.5", "1234.5"]
    assert cells(dataset, "target.price", 4) == ["1.25", "1.25", "0.5", "1234.5"]
    assert cells(dataset, "facts.other", 1) == ["2.125"]
    assert dataset.readings == dict.fromkeys(["price", "kg", "other"], "number, decimal comma")
    assert dataset.spellings["kg"] == {"kind": "number", "decimal": ",", "unit": ""}
    [finding] = dataset.findings
    assert finding.startswith("other: no number shows its decimal mark; 2,125 is read with a decimal comma")


def test_a_source_of_numbers_has_the_digest_of_one_of_text(tmp_path: Path, run: Make) -> None:
    numbers, moments = [1.25, 1250.0, 1e-7, None], [None, datetime(2024, 2, 13, 4, tzinfo=UTC)]
    texts = {"x": ["1,25", "1.250,0", "0,0000001", "NA"], "when": ["", "13/02/2024 04:00"]}
    frame = pd.read_csv(csv(tmp_path / "t.csv", texts, ";"), sep=";", dtype=str)
    table = pa.Table.from_pandas(frame.drop(columns=["x", "when"]))
    table = table.append_column("x", pa.array(numbers * 10, pa.float64()))
    table = table.append_column("when", pa.array(moments * 20, pa.timestamp("us", "Europe/Berlin")))
    pq.write_table(table, tmp_path / "t.parquet")
    digests = {run(tmp_path / name, facts("x", "when")).digest for name in ("t.csv", "t.parquet")}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (
            pa.array([0, 576_000_000_000_000_000] + [0] * 38, pa.int64()).cast(pa.timestamp("us")),
            "20222-09-18",
        ),
        (pa.array([0, 10_000_000] + [0] * 38, pa.int32()).cast(pa.date32()), "29349-01-26"),
        (pa.array([datetime(2024, 1, 1), datetime(1, 1, 1)] + [datetime(2024, 1, 1)] * 38), "0001-01-01"),
        (
            pa.array(["2024-01-01", "2024-02-30"] + ["2024-01-01"] * 38),
            "'2024-02-30' is a date that does not",
        ),
    ],
)
def test_a_date_that_cannot_be_costs_its_row_alone(
    tmp_path: Path, run: Make, column: pa.Array, reason: str
) -> None:
    frame = pd.read_csv(csv(tmp_path / "t.csv", {}), dtype=str)
    table = pa.Table.from_pandas(frame).append_column("when", column)
    pq.write_table(table, tmp_path / "t.parquet")
    dataset = run(tmp_path / "t.parquet", facts("when"))
    [fault] = pd.read_parquet(dataset.quarantine).to_dict("records")
    assert (fault["id"], fault["input"]) == ("1", "facts")
    assert fault["reason"].startswith("column 'when': ")
    assert reason in fault["reason"]
    assert dataset.rows == 39


def test_lengths_and_times_of_day_are_numbers_of_seconds(tmp_path: Path, run: Make) -> None:
    frame = pd.read_csv(csv(tmp_path / "t.csv", {}), dtype=str)
    table = pa.Table.from_pandas(frame)
    table = table.append_column("took", pa.array([timedelta(minutes=n) for n in range(40)]))
    table = table.append_column("at", pa.array([time(n % 24, 30) for n in range(40)]))
    pq.write_table(table, tmp_path / "t.parquet")
    dataset = run(tmp_path / "t.parquet", facts("took", "at"))
    assert cells(dataset, "facts.took", 3) == ["0", "60", "120"]
    assert cells(dataset, "facts.at", 3) == ["1800", "5400", "9000"]


def test_a_target_in_another_unit_is_quarantined(tmp_path: Path, run: Make) -> None:
    source = csv(tmp_path / "t.csv", {"mass": [*(f"{n} kg" for n in range(39)), "500 g"], "x": ["1", "2"]})
    dataset = run(source, facts("x"), target={"task": "regression", "column": "mass"})
    [fault] = pd.read_parquet(dataset.quarantine).to_dict("records")
    assert fault["reason"] == "target mass: '500 g' is not a number"
    assert dataset.findings == (
        "mass: 1 cells have another unit than kg (kg 39, g 1). Bring the cells to one unit",
    )


def test_words_for_an_empty_cell_are_the_same_in_every_kind_of_column(tmp_path: Path, run: Make) -> None:
    words = ["NA", "null", "-", "#N/A", "None", "nan", "DE", "FR", "DE", "FR"]
    columns = {"country": words, "note": words, "x": [*words[:6], "1,5", "2", "3", "4"]}
    columns["label"] = ["a", "b", "NA", *"ab" * 20]
    source = csv(tmp_path / "t.csv", columns, ";")
    inputs = {**facts("country", "x"), "text": {"modality": "text", "columns": "note"}}
    dataset = run(source, inputs, max_bad=0.7)
    samples = pd.read_parquet(dataset.samples)
    assert sorted(samples["facts.country"].unique()) == ["DE", "FR"]
    assert sorted(samples["text.text"].unique()) == ["DE", "FR"]
    assert dataset.targets.primary.classes == ("a", "b")
    reasons = pd.read_parquet(dataset.quarantine)["reason"].tolist()
    assert reasons.count("no input at all (every input is missing)") == 24
    assert reasons.count("no input at all (every input is missing)") == len(reasons)
    assert any("label: 1 cells such as 'NA' stand for an empty cell" in each for each in dataset.findings)

    options: dict[str, Any] = {"country": {"empty": []}, "label": {"empty": []}}
    dataset = run(source, facts("country"), columns=options)
    assert cells(dataset, "facts.country", 7) == words[:7]
    assert dataset.quarantined == 0
    assert "NA" in dataset.targets.primary.classes


def test_new_cells_are_read_by_the_rule_of_the_model() -> None:
    config = TabularInput(columns=["kg", "when"])
    rules = {
        column: Spelling.from_json(rule)
        for column, rule in {
            "kg": {"kind": "number", "decimal": ",", "unit": "kg"},
            "when": {"kind": "moment", "dates": "day-first"},
        }.items()
    }
    cells = {"kg": "1.250 kg", "when": "01/02/2024"}
    read = read_cells(cells, config, rules)
    assert read == {"kg": 1250, "when": "2024-02-01"}
    assert read_cells(read, config, rules) == read  # nothing is read twice
    assert read_cells({"kg": 1.125, "when": None}, config, rules) == {"kg": 1.125, "when": None}
    assert read_cells({"kg": "NA", "when": "-"}, config, rules) is None
    with pytest.raises(ValueError, match="column 'kg': '3 g' is in g, but the column is in kg"):
        read_cells({"kg": "3 g"}, config, rules)
    with pytest.raises(ValueError, match="column 'when': '30/02/2024' is a date that does not exist"):
        read_cells({"when": "30/02/2024"}, config, rules)
