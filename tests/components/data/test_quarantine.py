"""Many bad rows make a short message: a line per kind of fault, with its count and its first row."""

from pathlib import Path

import pytest

from components.data.quarantine import Quarantine
from components.errors import DataError


def message_of(quarantine: Quarantine) -> list[str]:
    with pytest.raises(DataError) as raised:
        quarantine.check(200_000, 0.05, "t.csv", "/data", Path("quarantine.parquet"))
    return str(raised.value).splitlines()


def test_cells_do_not_make_kinds_of_their_own() -> None:
    quarantine = Quarantine()
    for row in range(100_000):
        quarantine.add(f"r{row}", "row", None, f"target price: {f'{row} EUR'!r} is not a number", row)
        if row % 2:
            quarantine.add(f"r{row}", "image", f"{row}.png", f"damaged image (byte {row})", row)
    lines = message_of(quarantine)
    assert lines[1:3] == [
        "  100000 × row: target price: '...' is not a number, first in row 0, id r0: "
        "target price: '0 EUR' is not a number",
        "  50000 × image: damaged image, first in row 1, id r1: 1.png: damaged image (byte 1)",
    ]
    assert len(lines) == 4


def test_however_many_kinds_there_are_at_most_twenty_lines_are_written() -> None:
    quarantine = Quarantine()
    for row in range(100_000):
        quarantine.add(f"r{row}", "row", None, "no such thing as " + "x" * (row % 500), row)
    lines = message_of(quarantine)
    assert len(lines) <= 20
    assert "  97600 × 488 other kinds" in lines
