"""Trainings by Ray Train: the same as here, shared by two, and gone on with when a worker is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from components.config.engine import EngineConfig
from components.config.fusion import ConcatConfig, ModalityDropout
from components.config.training import TrainingConfig
from components.engine import open_engine
from components.models.fusion import build_fusion
from components.models.networks import Fused
from components.objectives import Supervised
from components.training.batches import EmbeddingSource
from components.training.checkpoint import Epoch
from components.training.faults import TrainingError
from components.training.task import Training
from tests.components.engine.conftest import Machines, kill_worker
from tests.components.small_targets import NAME, alone

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
HERE = EngineConfig(device="cpu")


def exclusive_or(rows: int, seed: int) -> EmbeddingSource:
    """Two inputs whose signs make the class, some of them missing."""
    generator = torch.Generator().manual_seed(seed)
    bits = torch.randint(0, 2, (rows, 2), generator=generator)
    noise = torch.randn(2, rows, 8, generator=generator)
    noise[0, :, 0], noise[1, :, 1] = 3.0 * (2 * bits.T - 1)
    present = torch.rand(rows, 2, generator=generator) >= 0.1
    present[:, 0] |= ~present.any(1)
    values = {NAME: bits[:, 0] ^ bits[:, 1]}
    return EmbeddingSource({"a": noise[0], "b": noise[1]}, present, values, torch.device("cpu"))


def a_training(folder: Path, dropout: float = 0.0, hidden: float = 0.0, **options: Any) -> Training:
    folder.mkdir()
    torch.manual_seed(0)
    fusion = build_fusion(ConcatConfig(width=32, dropout=dropout), {"a": 8, "b": 8}, alone(2))
    network = Fused(fusion, alone(2))
    data = {rows: exclusive_or(rows, rows) for rows in (101, 50)}  # the last batch is of an odd number
    config = TrainingConfig(
        **{"epochs": 4, "batch_size": 32, "learning_rate": 0.01, "patience": None, "ema": 0.9, **options}
    )

    def sources(device: torch.device) -> tuple[EmbeddingSource, EmbeddingSource]:
        return data[101], data[50]

    def objective(training: Any) -> Supervised:
        return Supervised(alone(2), config, training.targets)

    hiding = ModalityDropout(rate=hidden) if hidden else None
    return Training(network, objective, sources, config, 1, folder, hiding, ("a", "b"))


def timeless(epochs: Iterator[Epoch] | list[Epoch]) -> list[Epoch]:
    return [replace(epoch, seconds=0) for epoch in epochs]


def same_weights(one: Training, other: Training, **tolerance: float) -> None:
    assert not one.network.training
    for name, value in other.network.state_dict().items():
        torch.testing.assert_close(one.network.state_dict()[name], value, **tolerance)


def test_one_trainer_gives_the_bits_of_a_local_training(machines: Machines, tmp_path: Path) -> None:
    local = a_training(tmp_path / "here", dropout=0.2, hidden=0.3)
    remote = a_training(tmp_path / "there", dropout=0.2, hidden=0.3)
    history = timeless(open_engine(HERE).train(local))
    assert timeless(open_engine(machines.engine).train(remote)) == history
    assert len({epoch.train_loss for epoch in history}) == 4
    same_weights(remote, local, rtol=0, atol=0)
    assert not (remote.folder / "ray").exists()
    # and what one engine has begun the other replays
    assert timeless(open_engine(HERE).train(remote)) == history


def test_two_trainers_come_to_the_same_within_rounding(machines: Machines, tmp_path: Path) -> None:
    # without draws, which each trainer has of its own: then only the order of sums differs
    local, remote = a_training(tmp_path / "here"), a_training(tmp_path / "there")
    cluster = machines.engine.cluster.model_copy(update={"trainers": 2})
    history = list(open_engine(HERE).train(local))
    shared = list(open_engine(machines.engine.model_copy(update={"cluster": cluster})).train(remote))
    assert len(shared) == len(history) == 4
    for one, other in zip(shared, history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, abs=1e-4)
        assert one.val_loss == pytest.approx(other.val_loss, abs=1e-4)
        assert one.alone == pytest.approx(other.alone, abs=0.021)  # one of 50 rows may be on the other side
    same_weights(remote, local, rtol=0, atol=1e-3)


@pytest.mark.parametrize("trainers", [1, 2])
def test_a_training_goes_on_behind_its_last_epoch_when_a_worker_is_lost(
    machines: Machines, tmp_path: Path, trainers: int
) -> None:
    whole = a_training(tmp_path / "whole")
    undisturbed = timeless(open_engine(HERE).train(whole))
    begun = tmp_path / "begun"
    slow = a_training(tmp_path / "slow")
    slow = replace(slow, objective=slowly(slow.objective, begun))
    cluster = machines.engine.cluster.model_copy(update={"trainers": trainers})
    history = []
    for epoch in open_engine(machines.engine.model_copy(update={"cluster": cluster})).train(slow):
        history.append(epoch)
        if len(history) == 1:
            kill_worker("ray::RayTrainWorker")
    assert [epoch.epoch for epoch in history] == [0, 1, 2, 3], "each is told once"
    lines = begun.read_text().split()
    assert len(lines) > 4 * trainers, "an epoch was begun twice"
    assert lines.count("0") == trainers, "but not the first, which was done"
    if trainers == 1:
        assert timeless(history) == undisturbed
        same_weights(slow, whole, rtol=0, atol=0)
    else:
        same_weights(slow, whole, rtol=0, atol=1e-3)


def slowly(make: Callable[[Any], Supervised], begun: Path) -> Callable[[Any], Any]:
    """The same objective, which takes its time and writes down each epoch that begins."""

    def objective(training: Any) -> Any:
        made = make(training)

        def begin_epoch(epoch: int, epochs: int) -> None:
            with begun.open("a") as file:
                file.write(f"{epoch}\n")
            time.sleep(3)

        made.begin_epoch = begin_epoch  # type: ignore[method-assign]
        return made

    return objective


def test_a_loss_that_runs_away_ends_the_training_with_its_message(machines: Machines, tmp_path: Path) -> None:
    training = a_training(tmp_path / "away", learning_rate=1e38, clip_norm=None, warmup=0.0, ema=0.0)
    with pytest.raises(
        TrainingError, match=r"the loss is (nan|inf) in epoch 0, batch \d+ of \d+ .*try a learning rate"
    ):
        list(open_engine(machines.engine).train(training))
