"""Environment variables set for a while."""

from __future__ import annotations

import os

import pytest

from components.runtime.environ import variables


def test_variables_are_set_and_taken_away_for_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAID_TEST_A", "before")
    monkeypatch.delenv("BRAID_TEST_B", raising=False)
    with variables({"BRAID_TEST_A": None, "BRAID_TEST_B": "within"}):
        assert "BRAID_TEST_A" not in os.environ
        assert os.environ["BRAID_TEST_B"] == "within"
        os.environ["BRAID_TEST_A"] = "of a library"
    assert os.environ["BRAID_TEST_A"] == "before"
    assert "BRAID_TEST_B" not in os.environ


def test_an_error_in_the_block_restores_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAID_TEST_A", "before")
    with pytest.raises(ValueError, match="so"), variables({"BRAID_TEST_A": "within"}):
        raise ValueError("so")
    assert os.environ["BRAID_TEST_A"] == "before"
