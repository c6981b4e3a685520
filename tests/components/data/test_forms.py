"""A table for a model whose numbers and dates are written otherwise than in training: read right, or told."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from components.data.dates import Order
from components.data.forms import other_forms
from components.data.numbers import NumberForm
from components.data.rows import open_table
from components.data.spelling import Spelling


def _number(decimal: str, unit: str = "") -> Spelling:
    return Spelling("number", NumberForm(decimal, unit))  # type: ignore[arg-type]


def _date(order: Order) -> Spelling:
    return Spelling("moment", dates=order)


POINT, COMMA = _number("."), _number(",")
CASES = [
    # rule of training, cells, their values, words of the finding
    (POINT, ["1,5", "2,25", "3.75"], ["1.5", "2.25", "3.75"], "2 numbers have a decimal comma"),
    (COMMA, ["1.5", "2.25", "1.234,5"], ["1.5", "2.25", "1234.5"], "2 numbers have a decimal point"),
    (POINT, ["1,5", "1.250"], ["1.5", "1.25"], "1.250 may be read both ways and is read as 1.25"),
    (COMMA, ["1.250", "2.500"], ["1250", "2500"], "no number shows its decimal mark; 1.250 may be read both"),
    (POINT, ["1,234.5", "1,250"], ["1234.5", "1250"], None),
    (POINT, ["1.5", "2", ""], ["1.5", "2", None], None),
    (_number(".", "EUR"), ["1.5", "2.5 €"], ["1.5", "2.5"], "1 numbers have no unit, but the model was tr"),
    (_number(",", "EUR"), ["1.234,50 EUR", "7 €"], ["1234.5", "7"], None),
    (_date("day-first"), ["12/31/2023", "31/12/2023"], [None, "2023-12-31"], "1 dates are not day-first"),
    (_date("day-first"), ["31.12.2023", "2023-12-30"], ["2023-12-31", "2023-12-30"], None),
    (_date("month-first"), ["31/12/2023", "05/06/2023"], [None, "2023-05-06"], "05/06/2023 may be read both"),
]


@pytest.mark.parametrize(("spelling", "cells", "values", "words"), CASES)
def test_other_forms_are_told(
    tmp_path: Path, spelling: Spelling, cells: list[str], values: list[str | None], words: str | None
) -> None:
    pd.DataFrame({"id": range(len(cells)), "price": cells}).to_csv(tmp_path / "t.csv", index=False)
    findings = other_forms(open_table(str(tmp_path / "t.csv")), {"price": spelling, "gone": spelling})
    if words is None:
        assert findings == ()
    else:
        (finding,) = findings
        assert finding.startswith("price: ")
        assert words in finding
    for cell, value in zip(cells, values, strict=True):
        if value is not None or not cell:
            assert spelling.name(cell) == value


def test_fractions_for_a_column_of_percent_are_told(tmp_path: Path) -> None:
    pd.DataFrame({"share": [0.12, 0.5]}).to_parquet(tmp_path / "t.parquet")
    (finding,) = other_forms(open_table(str(tmp_path / "t.parquet")), {"share": _number(".", "%")})
    assert finding == "share: 2 numbers have no unit, but the model was trained on numbers in %"
