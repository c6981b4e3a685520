"""The page of very many samples has the table that its script makes, and the arithmetic is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.scale import ASSUMED, MEASURED, Rates, table

PAGE = Path(__file__).parents[2] / "docs" / "results" / "scale.md"


def test_the_page_has_the_table_of_the_script() -> None:
    assert table(MEASURED, ASSUMED) in PAGE.read_text("utf-8"), "run python -m benchmarks.scale"


def test_a_row_is_what_its_rates_come_to() -> None:
    # 3.6 million rows of 1 + 9 ms are 1 + 9 core hours, at half the time 2 + 18, on 4 cores 5 hours
    few = replace(ASSUMED, samples=3_600_000, cores=4, price=2.0, share=0.5, hours=2)
    row = table({"x": Rates(1, 9, 1e6, 1e5)}, few).splitlines()[-1]
    assert row == "| x | 2 | 18 | 3 | $10 | $2.8 | 3.6 | 0.36 | $91 |"
