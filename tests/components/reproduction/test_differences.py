"""Two runs side by side: what differs is told, what cannot be the same is left out."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from components.inference.bundle import model_digest
from components.reproduction.differences import Account, Difference, differences, is_compared
from components.reproduction.environment import environment

ONE = Account(
    settings={"seed": 0, "fusion.name": "late"},
    data="d",
    model="m",
    environment={"python": "3.11.9", "packages.torch": "2.13.0"},
    metrics={"test_accuracy": 0.75, "test_roc_auc": math.nan},
)


def test_equal_runs_differ_in_nothing_also_where_a_metric_is_not_defined() -> None:
    assert differences(ONE, replace(ONE, metrics={"test_roc_auc": math.nan, "test_accuracy": 0.75})) == []


@pytest.mark.parametrize(
    ("change", "part", "name", "then", "now"),
    [
        ({"settings": {"seed": 1, "fusion.name": "late"}}, "settings", "seed", 0, 1),
        ({"data": "e"}, "data", "digest", "d", "e"),
        ({"model": "n"}, "model", "digest", "m", "n"),
        ({"environment": {"python": "3.11.9"}}, "environment", "packages.torch", "2.13.0", None),
        (
            {"metrics": {**ONE.metrics, "test_accuracy": math.nextafter(0.75, 1)}},
            "metric",
            "test_accuracy",
            0.75,
            math.nextafter(0.75, 1),
        ),
        ({"metrics": {**ONE.metrics, "new": 1.0}}, "metric", "new", None, 1.0),
    ],
)
def test_each_difference_is_told_to_the_last_bit(
    change: dict[str, object], part: str, name: str, then: object, now: object
) -> None:
    result = differences(ONE, replace(ONE, **change))  # type: ignore[arg-type]
    assert result == [Difference(part, name, then, now)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "like_it"),
    [
        ("seconds", "seconds_of_sound"),
        ("epoch_seconds", "epochs"),
        ("audit_seconds", "audit_warnings"),
        ("system/cpu_utilization", "system_accuracy"),
        ("champion_gain_low", "fusion_gain_low"),
        ("extracted_rows_image", "data_rows"),
    ],
)
def test_times_load_cache_and_champion_of_the_day_are_not_compared(name: str, like_it: str) -> None:
    assert not is_compared(name)
    assert is_compared(like_it)


def test_the_environment_has_what_results_depend_on() -> None:
    result = environment("cpu")
    assert json.loads(json.dumps(result)) == result
    assert result["device"] == "cpu"
    assert result["threads"] >= 1
    assert {"torch", "numpy", "scikit-learn", "safetensors"} <= set(result["packages"])


def test_the_digest_of_a_model_is_of_what_answers_and_not_of_where_it_comes_from(tmp_path: Path) -> None:
    def bundle(name: str, weights: bytes = b"w", temperature: float = 1.0, run: str = "a") -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "delivered.safetensors").write_bytes(weights)
        (folder / "gallery.parquet").write_bytes(name.encode())
        values = {"delivered": {"temperature": temperature}, "facts": {"run": run}}
        (folder / "model.json").write_text(json.dumps(values))
        return model_digest(folder)

    first = bundle("first")
    assert bundle("other-run", run="b") == first
    assert len({first, bundle("weights", weights=b"v"), bundle("temperature", temperature=2.0)}) == 3
