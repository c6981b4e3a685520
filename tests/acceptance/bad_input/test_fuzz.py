"""Each target withstands some seconds of coverage-guided fuzzing; `make fuzz` takes longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.bad_input.fuzz_all import fuzz_one
from tests.acceptance.bad_input.targets import TARGETS


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_withstands_fuzzing(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has wheels for Linux and some Pythons alone")
    good, message = fuzz_one(name, 15, tmp_path)
    assert good, message
