"""Parts of the engines that need no cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from components.config import ConfigError, PipelineConfig
from components.config.engine import EngineConfig
from components.config.load import configured
from components.engine import open_engine
from components.engine.cluster import EngineError, connect, own_error, running
from components.errors import DataError
from components.training.checkpoint import known_epochs
from components.training.distributed import DistributedGroup

VALUES: dict[str, Any] = {
    "name": "x",
    "data": {"source": "rows.csv"},
    "inputs": {"note": {"modality": "text", "columns": "note", "encoder": {"name": "ngrams"}}},
}


def read(engine: Any, *overrides: str, **more: Any) -> PipelineConfig:
    return configured({**VALUES, **more, "engine": engine}, overrides, "x.yaml")


def test_a_word_is_short_for_its_name() -> None:
    assert read("ray").engine == EngineConfig(name="ray")
    assert read("ray", "engine.cluster.trainers=2", "engine.device=cpu").engine.cluster.trainers == 2
    assert read({"device": "cpu"}, "engine.name=ray").engine == EngineConfig(name="ray", device="cpu")


def test_another_word_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"engine.name: 'rai' is not one of: local, ray. Did you mean 'ray'?"
    ):
        read("rai")


def test_gradients_that_are_changed_by_rows_need_one_trainer() -> None:
    balance = {"cure": "ogm_ge"}
    gated = {"name": "gated"}
    assert read("ray", balance=balance, fusion=gated).balance.cure == "ogm_ge"
    assert read({"cluster": {"trainers": 2}}, balance=balance, fusion=gated).engine.name == "local"
    with pytest.raises(ConfigError, match=r"balance.cure: ogm_ge .* Take trainers: 1"):
        read({"name": "ray", "cluster": {"trainers": 2}}, balance=balance, fusion=gated)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # what an import then finds
    with pytest.raises(EngineError) as caught:
        open_engine(EngineConfig(name="ray"))
    assert "pip install 'braid[ray]'" in str(caught.value)
    assert "\n" not in str(caught.value)
    with running(EngineConfig()):  # who does not ask for it does not need it
        assert open_engine(EngineConfig(device="cpu")).ask(str) == "cpu"


def test_an_address_where_no_cluster_is_is_told() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'braid[ray]'")
    with pytest.raises(EngineError, match=r"engine.cluster.address: no Ray cluster .* at 'nowhere'"):
        connect(EngineConfig.model_validate({"name": "ray", "cluster": {"address": "nowhere"}}))


def test_the_error_of_a_worker_is_found_in_what_it_is_wrapped_in() -> None:
    own = DataError("row 7")

    around, group, outer = RuntimeError("around"), RuntimeError("group"), RuntimeError("outer")
    around.__cause__, outer.__cause__ = own, group
    group.worker_failures = {1: around}  # type: ignore[attr-defined]
    assert own_error(outer) is own
    assert own_error(RuntimeError("something else")) is None


def test_a_checkpoint_that_is_not_there_or_broken_knows_no_epochs(tmp_path: Path) -> None:
    assert known_epochs(tmp_path / "checkpoint.safetensors") == []
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x07" * 100)
    assert known_epochs(tmp_path / "checkpoint.safetensors") == []


def peer(rank: int, size: int) -> DistributedGroup:
    each = DistributedGroup()
    each.rank, each.size = rank, size
    return each


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_mean_over_workers_is_the_mean_over_rows(rows: int, size: int) -> None:
    losses = torch.arange(1.0, rows + 1)
    positions = torch.arange(rows)
    parts = [peer(rank, size).part(positions) for rank in range(size)]
    mean = sum(weight * float(losses[mine].mean()) for mine, weight in parts) / size
    assert mean == pytest.approx(float(losses.mean()))
    learned = torch.cat([mine for mine, weight in parts if weight])
    assert sorted(learned.tolist()) == positions.tolist()


def test_workers_do_not_draw_the_same() -> None:
    assert peer(0, 2).seed(5) == 5
    assert len({peer(rank, 3).seed(5) for rank in range(3)}) == 3
