"""One spelling for every value, from every source and type."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from components.config import PipelineConfig
from components.data.cells import word_of
from components.data.ingest import ingest
from components.data.spelling import Spelling, guess_spelling, plain_number
from components.references import Dataset
from components.targets import Targets

Make = Callable[..., Any]
_DAY = date(2024, 2, 3)
_MOMENT = datetime(2024, 2, 3, 4, 5)
_VALUES: dict[str, Callable[[int], Any]] = {
    "booleans": lambda n: n % 2 == 0,
    "integers": lambda n: n,
    "floats": lambda n: n + 0.5,
    "whole floats": float,
    "tiny floats": lambda n: n * 1e-7,
    "huge floats": lambda n: n * 1e17,
    "decimals": lambda n: Decimal(n) + Decimal("0.50"),
    "dates": lambda n: _DAY + timedelta(n),
    "midnights": lambda n: pd.Timestamp(_DAY + timedelta(n)),
    "moments": lambda n: pd.Timestamp(_MOMENT) + pd.Timedelta(n, "h"),
    "moments with a zone": lambda n: (
        pd.Timestamp(_MOMENT, tz=timezone(timedelta(hours=2))) + pd.Timedelta(n, "h")
    ),
    "durations": lambda n: pd.Timedelta(n, "h"),
    "words": lambda n: f"word {n}",
    "composed letters": lambda n: f"grün {n}",
    "codes": lambda n: f"{n:03d}",
}
"""Value of a kind by its number: different numbers below 2 are different values, of most kinds all are."""


def _typed(kind: str, numbers: Sequence[int | None]) -> pd.Series:
    return pd.Series([None if n is None else _VALUES[kind](n) for n in numbers], name=kind)


def _write(frame: pd.DataFrame, folder: Path, source: str) -> Path:
    """Write the rows as one of the sources gives them."""
    path = folder / f"{source.replace(' ', '-')}.{source.split()[0]}"
    match source:
        case "csv":
            frame.to_csv(path, index=False)
        case "csv with capitals":
            frame.map(lambda cell: str(cell).upper() if isinstance(cell, bool) else cell).to_csv(
                path, index=False
            )
        case "csv with decomposed letters":
            decomposed = frame.map(
                lambda cell: cell.replace("ü", "u\u0308") if isinstance(cell, str) else cell
            )
            names = [name for name in decomposed if name != "text"]  # running text keeps the space around it
            decomposed[names] = decomposed[names].map(
                lambda cell: f"{cell} " if isinstance(cell, str) else cell
            )
            decomposed.to_csv(path, index=False)
        case "parquet":
            frame.to_parquet(path)
        case "parquet of categories":  # of durations pandas would write the microseconds alone
            dtypes: dict[Any, Any] = {
                name: "category" for name in frame if frame[name].dtype.kind not in "Om"
            }
            frame.astype(dtypes).to_parquet(path)
        case "parquet of nullable types":
            frame.convert_dtypes().to_parquet(path)
        case "jsonl":
            frame.to_json(
                path, orient="records", lines=True, date_format="iso", date_unit="us", double_precision=15
            )
    return path


SOURCES = (
    "csv",
    "csv with capitals",
    "csv with decomposed letters",
    "parquet",
    "parquet of categories",
    "parquet of nullable types",
    "jsonl",
)


def _ingest(path: Path, folder: Path) -> Dataset:
    config = {
        "name": "t",
        "data": {"source": str(path), "split": {"group": "who"}, "max_bad": 0.5},
        "inputs": {
            "facts": {"modality": "tabular", "columns": ["cell"]},
            "note": {"modality": "text", "columns": "text"},
        },
    }
    return ingest(PipelineConfig.model_validate(config), folder, path.parent)


@settings(max_examples=25, deadline=None)
@given(
    kinds=st.tuples(*[st.sampled_from(list(_VALUES))] * 5),
    empty=st.sets(st.integers(0, 47), max_size=3),
    source=st.sampled_from(SOURCES[1:]),
)
def test_the_same_rows_have_one_digest_from_every_source(
    kinds: tuple[str, ...], empty: set[int], source: str
) -> None:
    id, label, who, cell, text = kinds
    rows = range(48)
    some = [None if row in empty else row % 7 for row in rows]
    frame = pd.DataFrame(
        {
            "id": _typed("words" if id == "booleans" else id, rows),
            "label": _typed(label, [None if row in empty else row % 2 for row in rows]),
            "who": _typed("integers" if who == "booleans" else who, [row // 4 for row in rows]),
            "cell": _typed(cell, some),
            "text": _typed(text, some),
            "other": "word",
        }
    )
    with TemporaryDirectory() as folder:
        expected = _ingest(_write(frame, Path(folder), "csv"), Path(folder) / "a")
        actual = _ingest(_write(frame, Path(folder), source), Path(folder) / "b")
    assert actual.targets == expected.targets
    assert actual.spellings == expected.spellings
    assert actual.digest == expected.digest
    assert actual.rows == 48 - len(empty)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["True", "false", "", "nan"], "boolean"),
        ([True, None, "1"], "boolean"),
        (["True", "maybe"], "word"),
        (["0", "1"], "number"),
        (["1", 1.0, Decimal("1.50"), np.float32(0.1), "1e-05"], "number"),
        (["01", "1"], "word"),
        (["1", "+2"], "word"),
        (["12e5", "1"], "word"),
        (["1.2.3"], "word"),
        ([_DAY, "2024-02-03 04:05:00"], "moment"),
        (["2024-02-03", "never"], "word"),
        ([None, ""], "word"),
        ([b"1", "\ud800", "1"], "number"),
    ],
)
def test_all_cells_of_a_column_decide_its_kind(cells: list[Any], kind: str) -> None:
    assert guess_spelling(cells) == Spelling(kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        (" gru\u0308n\u00a0", "grün"),
        ("\ufeffid", "id"),
        ("\u200b", None),
        (datetime(2024, 2, 3), "2024-02-03"),
        ("2024-02-03 00:00", "2024-02-03"),
        ("2024-02-03 04:05:06.500", "2024-02-03T04:05:06.5"),
        ("2024-02-03 04:05:06+02:00", "2024-02-03T02:05:06+00:00"),
        (datetime(2024, 2, 3, tzinfo=UTC), "2024-02-03T00:00:00+00:00"),
        ("2024-02-03T00:00:00Z", "2024-02-03T00:00:00+00:00"),
        ("2024-06-31 00:00:00", "2024-06-31 00:00:00"),
        ("1 days 00:00:01.5", "86401.5"),
        ("True", "True"),
        ("1.0", "1.0"),
    ],
)
def test_a_cell_alone_has_one_spelling(cell: Any, word: str | None) -> None:
    assert word_of(cell) == word


@given(st.floats(allow_nan=False))
def test_a_number_is_spelled_without_loss(number: float) -> None:
    word = plain_number(repr(number))
    assert word is not None
    assert float(word) == number
    assert plain_number(word) == word


def test_ids_that_one_spelling_would_merge_stay_as_they_are(
    tmp_path: Path, run: Make, text_rows: Make, manifest: Make
) -> None:
    rows = [
        row | {"id": f"{number // 2}.{'1' if number % 2 else '10'}"} for number, row in enumerate(text_rows())
    ]
    samples = pd.read_parquet(run(manifest(tmp_path / "m.csv", rows)).samples)
    assert samples["id"].tolist()[:2] == ["0.10", "0.1"]


def test_labels_are_spelled_within_a_cell(tmp_path: Path, run: Make, text_rows: Make, manifest: Make) -> None:
    rows = [
        row | {"label": ("1.0", "1|2.0", "2", "none")[number % 4]} for number, row in enumerate(text_rows())
    ]
    dataset = run(manifest(tmp_path / "m.csv", rows), target={"task": "multilabel"})
    assert dataset.targets.primary.classes == ("1", "2")
    samples = pd.read_parquet(dataset.samples)
    assert samples["target.label"].tolist()[:4] == ["1", "1|2", "2", "none"]


def test_the_order_of_classes_is_spelled_as_the_cells(
    tmp_path: Path, run: Make, text_rows: Make, manifest: Make
) -> None:
    rows = [row | {"label": f"{number % 2}.0"} for number, row in enumerate(text_rows())]
    target = {"task": "ordinal", "order": ["1.0", "0.0"]}
    assert run(manifest(tmp_path / "m.csv", rows), target=target).targets.primary.classes == ("1", "0")


def test_letters_composed_otherwise_are_one_class_and_one_group(
    tmp_path: Path, run: Make, text_rows: Make, manifest: Make
) -> None:
    forms = ("grün", "gru\u0308n")
    rows = [
        row
        | {
            "label": forms[number % 2] if number % 4 < 2 else "rot",
            "who": f"{forms[number % 2]} {number // 2}",
        }
        for number, row in enumerate(text_rows())
    ]
    dataset = run(manifest(tmp_path / "m.csv", rows), split={"group": "who"})
    assert dataset.targets.primary.classes == ("grün", "rot")
    samples = pd.read_parquet(dataset.samples)
    assert samples.groupby("group")["split"].nunique().max() == 1
    assert samples["group"].nunique() == 10


def test_a_reference_without_rules_can_be_read() -> None:
    dataset = Dataset("s", "q", "d", "m.csv", 1, 0, Targets(()), {}, {})
    fields = asdict(dataset)
    del fields["spellings"]
    assert TypeAdapter(Dataset).validate_python(json.loads(json.dumps(fields))).spellings == {}
