"""Sweep files: what they may say, what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config import ConfigError
from components.config.load import as_override, overridden
from components.config.sweep import SWEPT, SweepConfig, load_sweep, option
from components.models.fusion import FUSIONS
from components.sweep.plan import expand

ROOT = Path(__file__).parents[3]
PIPELINE: dict[str, Any] = {
    "name": "tiny",
    "data": {"source": "rows.csv"},
    "inputs": {
        name: {"modality": "tabular", "columns": [name], "encoder": {"name": "mlp"}}
        for name in ("age", "size")
    },
    "fusion": {"name": "concat", "width": 24},
}


def write(folder: Path, pipeline: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A sweep file and its pipeline."""
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**PIPELINE, **(pipeline or {})}), "utf-8")
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({"name": "s", "pipelines": ["tiny.yaml"], **changes}), "utf-8")
    return path


def test_all_fusions_are_every_one_but_plugin(tmp_path: Path) -> None:
    assert load_sweep(write(tmp_path, fusions="all")).fusion_names == SWEPT
    assert set(SWEPT) == set(FUSIONS) - {"plugin"}
    assert load_sweep(write(tmp_path, fusions=["late", "sum"])).fusion_names == ("late", "sum")


def test_a_pipeline_file_stands_for_a_sweep_of_it(tmp_path: Path) -> None:
    write(tmp_path)
    sweep = load_sweep(tmp_path / "tiny.yaml", ["seeds=[4]"])
    assert (sweep.name, sweep.pipelines, sweep.seeds) == ("tiny-sweep", ["tiny.yaml"], [4])
    assert sweep.fusion_names == SWEPT


def test_options_are_changed_from_the_command_line(tmp_path: Path) -> None:
    sweep = load_sweep(write(tmp_path), ["parallel=3", "search.trials=5"])
    assert (sweep.parallel, sweep.search.trials) == (3, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusions": ["concatt"]}, "'concatt' is not one of: .* Did you mean 'concat'?"),
        ({"fusions": ["plugin"]}, "'plugin' is not one of"),
        ({"seeds": [1, 1]}, "seeds: 1 is repeated"),
        ({"seeds": [-1]}, "seeds: -1 is not a seed"),
        ({"serach": {}}, "unknown option; .* Did you mean 'search'?"),
        ({"search": {"space": {"fusion.widht": {"low": 1, "high": 2}}}}, "Did you mean 'fusion.width'?"),
        ({"search": {"space": {"fusion.width": {"low": 0, "high": 64}}}}, "greater than or equal to 1"),
        ({"search": {"space": {"fusion.width": {"low": 1.5, "high": 64}}}}, "valid integer"),
        (
            {"search": {"space": {"fusion.dropout": {"choices": [0.1, 2]}}}},
            "dropout: 2: .*less than 1",
        ),
        ({"search": {"space": {"fusion.dropout": {"low": 0.1}}}}, "either low and high, or choices"),
        ({"search": {"space": {"fusion.dropout": {"low": 0.5, "high": 0.1}}}}, "has to be below high"),
        ({"search": {"space": {"training.epochs": {"choices": [1], "log": True}}}}, "choices exclude low"),
        ({"search": {"space": {"training.ema": {"low": 0, "high": 0.5, "log": True}}}}, "above 0"),
        (
            {"fusions": ["late"], "search": {"space": {"fusion.width": {"low": 1, "high": 2}}}},
            "none of the fusions has this option",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_sweep(write(tmp_path, **changes))


def test_a_fusion_is_searched_only_for_options_that_it_has() -> None:
    assert option("concat", "fusion.width") is not None
    assert option("concat", "fusion.heads") is None
    assert option("transformer", "fusion.heads") is not None
    assert option("gated", "fusion.modality_dropout.rate") is not None
    assert option("sum", "training.learning_rate") is not None
    assert option("late", "training.learning_rate") is None, "late fusion has no epochs"


@pytest.mark.parametrize("value", [1e-5, 0.1, 64, None, True, [1, 2], "cosine", "1e-5", "yes"])
def test_an_override_reads_back_as_its_value(value: Any) -> None:
    assert overridden({}, [as_override("a.b", value)], SweepConfig) == {"a": {"b": value}}


def test_a_fusion_that_cannot_be_used_is_left_out_of_all_and_refused_by_name(tmp_path: Path) -> None:
    inputs = {
        f"i{number}": {"modality": "tabular", "columns": [f"c{number}"], "encoder": {"name": "mlp"}}
        for number in range(5)
    }
    path = write(tmp_path, {"inputs": inputs})
    (entry,) = expand(path, load_sweep(path), path.parent)
    assert set(entry.fusions) == set(SWEPT) - {"tensor"}
    assert "factor_width" in entry.skipped["tensor"]
    path = write(tmp_path, {"inputs": inputs}, fusions=["tensor"])
    with pytest.raises(ConfigError, match="factor_width"):
        expand(path, load_sweep(path), path.parent)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ({"strategy": "joint"}, "strategy: joint trains encoders anew"),
        ({"joint_epochs": 3}, "joint_epochs: 3 trains encoders anew"),
        ({"inputs": {"age": PIPELINE["inputs"]["age"]}}, "only one input"),
    ],
)
def test_a_pipeline_without_cached_features_to_fuse_is_refused(
    tmp_path: Path, pipeline: dict[str, Any], message: str
) -> None:
    path = write(tmp_path, pipeline)
    with pytest.raises(ConfigError, match=message):
        expand(path, load_sweep(path), path.parent)


def test_two_pipelines_of_one_name_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, pipelines=["tiny.yaml", "again.yaml"])
    (tmp_path / "again.yaml").write_text((tmp_path / "tiny.yaml").read_text())
    with pytest.raises(ConfigError, match="two of them are named 'tiny'"):
        expand(path, load_sweep(path), path.parent)


def test_the_shipped_sweep_compares_every_fusion_on_three_data_sets() -> None:
    path = ROOT / "configs" / "bakeoff.yaml"
    entries = expand(path, load_sweep(path), path.parent)
    assert [entry.config.name for entry in entries] == ["avdigits-hard", "emoji", "emoji-minilm"]
    assert {entry.fusions for entry in entries} == {SWEPT}
