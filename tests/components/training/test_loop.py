"""The training loop: it learns, stops, and goes on bit by bit where it was cut off."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from components.config.engine import EngineConfig
from components.config.fusion import (
    ConcatConfig,
    FusionConfig,
    GatedConfig,
    ModalityDropout,
    TransformerConfig,
)
from components.config.training import TrainingConfig
from components.models.fusion import build_fusion
from components.models.networks import Fused
from components.objectives import Supervised
from components.pipeline.train_once import train_once
from components.seeding import seed_of
from components.storage.tensors import is_whole
from components.training.batches import EmbeddingSource
from components.training.checkpoint import Epoch, read_history
from components.training.faults import TrainingError
from components.training.loop import BEST, CHECKPOINT, best_epoch, predict, train
from tests.components.small_targets import NAME, alone

Xor = Callable[..., EmbeddingSource]
CPU = torch.device("cpu")
FUSIONS: dict[str, FusionConfig] = {
    "concat": ConcatConfig(width=32, dropout=0.1),
    "gated": GatedConfig(width=32, dropout=0.1),
    "transformer": TransformerConfig(width=32, layers=1, heads=2, dropout=0.1),
}


def network(config: FusionConfig | None = None, inputs: tuple[str, ...] = ("a", "b"), seed: int = 0) -> Fused:
    torch.manual_seed(seed)
    return Fused(build_fusion(config or FUSIONS["concat"], dict.fromkeys(inputs, 8), alone(2)), alone(2))


def run(
    model: nn.Module, training: EmbeddingSource, validation: EmbeddingSource, folder: Path, **options: Any
) -> list[Epoch]:
    dropout = options.pop("modality_dropout", None)
    metric = options.pop("metric", "accuracy")
    config = TrainingConfig(**{"epochs": 3, "batch_size": 32, "patience": None, **options})
    epochs = train(
        model,
        Supervised(alone(2, metric), config, training.targets),
        training,
        validation,
        config,
        seed=1,
        folder=folder,
        device=CPU,
        modality_dropout=dropout,
    )
    return list(epochs)


@pytest.mark.parametrize("name", FUSIONS)
def test_fusion_learns_the_exclusive_or_that_no_single_input_shows(
    xor: Xor, tmp_path: Path, name: str
) -> None:
    history = run(
        network(FUSIONS[name]), xor(256, 0), xor(128, 1), tmp_path / name, epochs=25, learning_rate=0.01
    )
    assert max(epoch.metric for epoch in history) == 1.0
    assert history[-1].train_loss < 0.5 * history[0].train_loss


@pytest.mark.parametrize("input", ["a", "b"])
def test_a_single_input_does_not_learn_it(xor: Xor, tmp_path: Path, input: str) -> None:
    model = network(inputs=(input,))
    history = run(
        model, xor(256, 0, (input,)), xor(512, 1, (input,)), tmp_path, epochs=10, learning_rate=0.01
    )
    # a guess over 512 rows has a standard deviation of .022; .6 is more than four of them
    assert all(0.4 < epoch.metric < 0.6 for epoch in history)


HARD = {"ema": 0.9, "label_smoothing": 0.1, "modality_dropout": ModalityDropout(rate=0.3), "epochs": 5}


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_a_training_that_was_cut_off_ends_in_the_same_bits(xor: Xor, tmp_path: Path, cut: int) -> None:
    sources = xor(100, 0, missing=0.2), xor(50, 1, missing=0.2)
    whole = network()
    history = run(whole, *sources, tmp_path / "whole", **HARD)

    options = {key: value for key, value in HARD.items() if key != "modality_dropout"}
    config = TrainingConfig(batch_size=32, patience=None, **options)
    generator = train(
        network(),
        Supervised(alone(2), config, sources[0].targets),
        *sources,
        config,
        seed=1,
        folder=tmp_path / "cut",
        device=CPU,
        modality_dropout=HARD["modality_dropout"],
    )
    for _ in range(cut):
        next(generator)
    generator.close()  # as by a kill: nothing after the yield is run
    torch.manual_seed(999)  # what the new process did before does not matter
    resumed = network(seed=5)
    again = run(resumed, *sources, tmp_path / "cut", **HARD)

    assert [replace(epoch, seconds=0) for epoch in again] == [replace(epoch, seconds=0) for epoch in history]
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


class Convolved(nn.Module):
    """A convolution whose weights lie in memory with the channels last, as those of braid's encoders do."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.convolution = nn.Conv2d(2, 4, 2).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head = nn.Linear(4, 2)

    def forward(self, inputs: dict[str, Tensor], present: Tensor) -> Tensor:
        picture = inputs["a"].unflatten(1, (2, 2, 2))  # (B, 2, 2, 2)
        return self.head(torch.relu(self.convolution(picture)).flatten(1))


def test_one_with_channels_last_too(xor: Xor, tmp_path: Path) -> None:
    # torch's fused optimizers walk through weights and moments as they lie in memory
    sources = xor(100, 0), xor(50, 1)
    options = {"schedule": "constant", "warmup": 0.0}  # so that two epochs begin as three do
    run(Convolved(seed=0), *sources, tmp_path / "whole", epochs=3, **options)
    run(Convolved(seed=0), *sources, tmp_path / "cut", epochs=2, **options)
    run(Convolved(seed=5), *sources, tmp_path / "cut", epochs=3, **options)
    whole, resumed = (load_file(tmp_path / name / CHECKPOINT) for name in ("whole", "cut"))
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)


def test_all_five_epochs_of_that_training_differ(xor: Xor, tmp_path: Path) -> None:
    # else the comparison above could not see that an epoch was left out or made twice
    history = run(network(), xor(100, 0), xor(50, 1), tmp_path, **HARD)
    assert len({epoch.train_loss for epoch in history}) == 5


def test_another_seed_is_another_training(xor: Xor, tmp_path: Path) -> None:
    sources, config = (xor(64, 0), xor(32, 1)), TrainingConfig(epochs=1)
    losses = set()
    for seed in (1, 2):
        epochs = train(
            network(),
            Supervised(alone(2), config, sources[0].targets),
            *sources,
            config,
            seed=seed,
            folder=tmp_path / str(seed),
            device=CPU,
        )
        losses.add(next(epochs).train_loss)
    assert len(losses) == 2


@pytest.mark.parametrize("damage", ["truncated", "empty", "rubbish"])
def test_a_damaged_checkpoint_is_ignored_and_training_starts_again(
    xor: Xor, tmp_path: Path, damage: str
) -> None:
    sources = xor(64, 0), xor(32, 1)
    history = run(network(), *sources, tmp_path)
    content = (tmp_path / CHECKPOINT).read_bytes()
    broken = {"truncated": content[:-100], "empty": b"", "rubbish": b"\x07" * 500}[damage]
    (tmp_path / CHECKPOINT).write_bytes(broken)
    again = run(network(), *sources, tmp_path)
    assert [replace(epoch, seconds=0) for epoch in again] == [replace(epoch, seconds=0) for epoch in history]


class Scripted(nn.Module):
    """Says what it is told in each validation; its one parameter counts the steps of training."""

    def __init__(self, right: list[float]) -> None:
        super().__init__()
        self.right = right
        self.weight = nn.Parameter(torch.zeros(1))
        self.validations = 0

    def forward(self, inputs: dict[str, Tensor], present: Tensor) -> Tensor:
        logits = torch.zeros(len(present), 2) + 0 * self.weight
        if self.training:
            return logits + self.weight
        correct = round(self.right[self.validations] * len(present))
        self.validations += 1
        rows = torch.arange(len(present)) < correct
        return logits + torch.where(rows.unsqueeze(1), torch.tensor([4.0, 0.0]), torch.tensor([0.0, 4.0]))


def zeros(rows: int) -> EmbeddingSource:
    """Rows of class 0."""
    present = torch.ones(rows, 1, dtype=torch.bool)
    return EmbeddingSource(
        {"a": torch.zeros(rows, 2)}, present, {NAME: torch.zeros(rows, dtype=torch.int64)}, CPU
    )


@pytest.mark.parametrize(
    ("right", "patience", "epochs", "best"),
    [
        ([0.5, 0.7, 0.6, 0.6, 0.9], 2, 4, 1),  # two epochs without a better one: the .9 is never seen
        ([0.5, 0.7, 0.6, 0.8, 0.7, 0.7, 0.7], 3, 7, 3),
        ([0.5, 0.7, 0.6, 0.6, 0.9], None, 5, 4),
        ([0.9, 0.1], 1, 2, 0),
        ([0.6, 0.6, 0.6], 2, 3, 0),  # equal is not better
    ],
)
def test_training_stops_when_nothing_gets_better(
    tmp_path: Path, right: list[float], patience: int | None, epochs: int, best: int
) -> None:
    history = run(
        Scripted(right), zeros(8), zeros(10), tmp_path, epochs=len(right), patience=patience, batch_size=10
    )
    assert [epoch.metric for epoch in history] == right[:epochs]
    assert best_epoch(history, "accuracy").epoch == best


def test_the_best_weights_are_kept_not_the_last(xor: Xor, tmp_path: Path) -> None:
    model, validation = network(), xor(64, 1)
    # a rate at which the metric jumps up and down
    history = run(model, xor(64, 0), validation, tmp_path, epochs=12, learning_rate=0.3, schedule="constant")
    best = best_epoch(history, "accuracy")
    assert best.epoch < 11, "the last epoch was the best one: this says nothing"
    logits = predict(model, validation, 64, "fp32", CPU)
    assert (logits.argmax(1) == validation.targets[NAME]).double().mean() == best.metric
    assert not model.training


def epoch(number: int, metric: float, loss: float) -> Epoch:
    return Epoch(number, 0.0, loss, metric, 0.0, 0.0)


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("accuracy", [(0.5, 1.0), (0.9, 2.0), (0.7, 0.1)], 1),
        ("log_loss", [(0.5, 1.0), (0.9, 2.0), (0.3, 0.3)], 2),  # lower is better
        ("accuracy", [(0.9, 1.0), (0.9, 0.5), (0.9, 0.7)], 1),  # equal ones: the loss
        ("accuracy", [(0.9, 1.0), (0.9, 1.0)], 0),  # equal in all: the first
        ("roc_auc", [(math.nan, 1.0), (math.nan, 0.2), (math.nan, 0.4)], 1),  # one class in validation
    ],
)
def test_the_best_epoch_is_that_of_the_metric_then_of_the_loss(
    metric: str, values: list[tuple[float, float]], best: int
) -> None:
    history = [epoch(number, *value) for number, value in enumerate(values)]
    assert best_epoch(history, metric).epoch == best


def rates(tmp_path: Path, **options: Any) -> list[float]:
    """Learning rate at the end of each epoch of four steps."""
    history = run(network(inputs=("a",)), zeros_of_width(40), zeros_of_width(8), tmp_path, **options)
    return [epoch.learning_rate for epoch in history]


def zeros_of_width(rows: int) -> EmbeddingSource:
    present = torch.ones(rows, 1, dtype=torch.bool)
    targets = {NAME: torch.arange(rows) % 2}
    return EmbeddingSource({"a": torch.zeros(rows, 8)}, present, targets, CPU)


def test_the_constant_schedule_rises_and_stays(tmp_path: Path) -> None:
    # 5 epochs of 4 steps: 20 steps, of which 8 warm up; step s of them (from 0) has (s + 1) / 9
    learning_rates = rates(
        tmp_path,
        epochs=5,
        batch_size=10,
        learning_rate=0.9,
        warmup=0.4,
        schedule="constant",
        precision="fp32",
    )
    assert learning_rates == pytest.approx([0.9 * 4 / 9, 0.9 * 8 / 9, 0.9, 0.9, 0.9])


def test_the_cosine_schedule_falls_to_nearly_nothing(tmp_path: Path) -> None:
    learning_rates = rates(
        tmp_path, epochs=5, batch_size=10, learning_rate=0.9, warmup=0.0, schedule="cosine"
    )
    # the last step of epoch e is step 4 e + 3 of 20
    expected = [0.45 * (1 + math.cos(math.pi * (4 * number + 3) / 20)) for number in range(5)]
    assert learning_rates == pytest.approx(expected)
    assert learning_rates[-1] < 0.01


def test_class_weights_leave_the_frequencies_of_the_rows(tmp_path: Path) -> None:
    # with no input to go by the loss is least at the frequencies, 90 to 10; weights are for the loss alone
    present = torch.ones(200, 1, dtype=torch.bool)
    targets = {NAME: (torch.arange(200) % 10 == 0).long()}
    source = EmbeddingSource({"a": torch.zeros(200, 8)}, present, targets, CPU)
    shares = {}
    for weights in ("none", "balanced"):
        model = network(inputs=("a",))
        run(
            model,
            source,
            source,
            tmp_path / weights,
            epochs=60,
            batch_size=200,
            learning_rate=0.05,
            class_weights=weights,
            weight_decay=0.0,
            metric="log_loss" if weights == "none" else "balanced_accuracy",
        )
        # the last weights, not the best on (unweighted) validation
        model.load_state_dict(last_weights(tmp_path / weights, model))
        shares[weights] = predict(model.eval(), source, 200, "fp32", CPU).softmax(1)[0, 1].item()
    assert shares["none"] == pytest.approx(0.1, abs=0.02)  # not yet at the minimum after 60 steps
    assert shares["balanced"] == pytest.approx(0.1, abs=0.02)


def last_weights(folder: Path, model: nn.Module) -> dict[str, Tensor]:
    stored = load_file(folder / CHECKPOINT)
    return {name: stored[f"network.{name}"] for name in model.state_dict()}


def test_a_loss_that_is_not_finite_is_told_with_its_epoch_and_a_remedy(xor: Xor, tmp_path: Path) -> None:
    training, validation = xor(64, 0), xor(32, 1)
    run(network(), training, validation, tmp_path, epochs=2)
    training.embeddings["a"][17, 3] = torch.inf
    training.present[17, 0] = True
    with pytest.raises(
        TrainingError,
        match=r"the loss is nan in epoch 2, batch [12] of 2 \(step [45]\); the network's output is not "
        r"finite for the rows '17': look for extreme values in them, or try a learning rate below",
    ):
        run(network(), training, validation, tmp_path, epochs=3)


class Overflowing(torch.autograd.Function):
    """The identity, whose gradient is not finite while it is told so."""

    times = 0

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        Overflowing.times -= 1
        return gradient * torch.inf if Overflowing.times >= 0 else gradient


class WithOverflow(nn.Module):
    def __init__(self, inner: Fused) -> None:
        super().__init__()
        self.inner, self.inputs = inner, inner.inputs

    def forward(self, inputs: dict[str, Tensor], present: Tensor) -> Tensor:
        logits = self.inner(inputs, present)
        return Overflowing.apply(logits) if self.training else logits


def test_a_step_whose_gradient_overflows_is_left_out_and_counted(xor: Xor, tmp_path: Path) -> None:
    Overflowing.times = 3
    model = WithOverflow(network())
    history = run(model, xor(64, 0), xor(32, 1), tmp_path, epochs=3, batch_size=16)
    assert [epoch.skipped for epoch in history] == [3, 0, 0]
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_training_stops_where_every_gradient_overflows(xor: Xor, tmp_path: Path) -> None:
    Overflowing.times = 10_000
    with pytest.raises(TrainingError, match=r"epoch 2, batch 3 of 4 .*gradients of 11 steps .* precision"):
        run(WithOverflow(network()), xor(64, 0), xor(32, 1), tmp_path, epochs=5, batch_size=16)


def test_answers_on_validation_that_are_not_finite_are_told_as_such(xor: Xor, tmp_path: Path) -> None:
    validation = xor(32, 1)
    validation.embeddings["a"][:] = torch.nan
    validation.present[:, 0] = True
    with pytest.raises(TrainingError, match=r"outputs on validation are not finite after epoch 0"):
        run(network(), xor(64, 0), validation, tmp_path)


class Greedy(nn.Module):
    """Fits no more than some rows into memory."""

    def __init__(self, inner: nn.Module, rows: int) -> None:
        super().__init__()
        self.inner, self.rows, self.asked = inner, rows, list[int]()

    def forward(self, inputs: dict[str, Tensor], present: Tensor) -> Tensor:
        self.asked.append(len(present))
        if len(present) > self.rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.inner(inputs, present)


def test_a_batch_that_does_not_fit_is_halved_with_the_gradient_of_the_whole(xor: Xor, tmp_path: Path) -> None:
    # without dropout, and with a mean over equal parts: the same steps but for the order of sums
    plain = ConcatConfig(width=32, dropout=0.0)
    whole, halved = network(plain), Greedy(network(plain), 10)
    history = run(whole, xor(64, 0), xor(32, 1), tmp_path / "whole", epochs=2)
    again = run(halved, xor(64, 0), xor(32, 1), tmp_path / "halved", epochs=2)
    assert [epoch.train_loss for epoch in again] == pytest.approx([e.train_loss for e in history], rel=1e-4)
    assert halved.asked[:3] == [32, 16, 8], "two tries that fail, then quarters"
    assert 32 not in halved.asked[3:10], "later batches are cut alike"


def test_memory_for_less_than_two_rows_ends_the_training_with_a_remedy(xor: Xor, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"memory does not suffice for 2 rows .* engine.device: cpu"):
        run(Greedy(network(), 1), xor(64, 0), xor(32, 1), tmp_path)


@pytest.mark.parametrize("file", [CHECKPOINT, BEST])
def test_a_flipped_bit_in_what_a_training_goes_on_from_is_found_and_it_starts_again(
    xor: Xor, tmp_path: Path, file: str
) -> None:
    sources = xor(64, 0), xor(32, 1)
    history = run(network(), *sources, tmp_path, epochs=2)
    content = bytearray((tmp_path / file).read_bytes())
    content[-5] ^= 0x40  # in the last tensor: the file is still well formed
    (tmp_path / file).write_bytes(content)
    again = run(network(seed=7), *sources, tmp_path, epochs=2)
    assert again[0].seconds != history[0].seconds, "it was trained, not taken up"
    # other initial weights, so another training: that of the damaged file is gone
    assert again[0].train_loss != history[0].train_loss
    assert is_whole(tmp_path / BEST)


def test_a_frozen_part_stays_as_it_is(xor: Xor, tmp_path: Path) -> None:
    model = network()
    for parameter in model.fusion.norms.parameters():
        parameter.requires_grad = False
    before = {name: value.clone() for name, value in model.fusion.norms.state_dict().items()}
    run(model, xor(64, 0), xor(32, 1), tmp_path, learning_rate=0.01)
    for name, value in model.fusion.norms.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


class TestOnce:
    """train_once: done once for its key, replayed after that."""

    def go(self, xor: Xor, root: Path, key: str = "key") -> tuple[list[Epoch], Any, Fused, int]:
        model, openings = network(), 0

        def sources(device: torch.device) -> tuple[EmbeddingSource, EmbeddingSource]:
            nonlocal openings
            openings += 1
            return xor(64, 0), xor(32, 1)

        steps = train_once(
            root,
            "fusion",
            key,
            model,
            lambda training: Supervised(alone(2), TrainingConfig(), training.targets),
            sources,
            TrainingConfig(epochs=3),
            metric_name="accuracy",
            seed=1,
            engine=EngineConfig(device="cpu"),
        )
        history = []
        while True:
            try:
                history.append(next(steps))
            except StopIteration as end:
                return history, end.value, model, openings

    def test_the_second_time_replays_without_opening_the_rows(self, xor: Xor, tmp_path: Path) -> None:
        history, trained, first, openings = self.go(xor, tmp_path)
        again, replayed, second, reopenings = self.go(xor, tmp_path)
        assert (openings, reopenings) == (1, 0)
        assert again == history  # the seconds too: nothing was trained
        assert replayed == trained
        assert read_history(trained.folder) == history
        for name, value in first.state_dict().items():
            torch.testing.assert_close(second.state_dict()[name], value, rtol=0, atol=0)
        assert not second.training

    def test_the_reference_tells_what_was_done(self, xor: Xor, tmp_path: Path) -> None:
        history, trained, model, _ = self.go(xor, tmp_path)
        assert (trained.name, trained.epochs) == ("fusion", 3)
        assert trained.metric == max(epoch.metric for epoch in history)
        assert trained.parameters == sum(parameter.numel() for parameter in model.parameters())
        assert (Path(trained.folder) / BEST).exists()

    @pytest.mark.parametrize("damage", ["flipped bit in the weights", "truncated weights", "torn done.json"])
    def test_finished_work_that_is_damaged_is_done_again(self, xor: Xor, tmp_path: Path, damage: str) -> None:
        history, trained, first, _ = self.go(xor, tmp_path)
        weights, done = Path(trained.folder) / BEST, Path(trained.folder) / "done.json"
        content = bytearray(weights.read_bytes())
        if damage == "torn done.json":
            done.write_text(done.read_text()[:20])
        elif damage == "truncated weights":
            weights.write_bytes(content[:-9])
        else:
            content[-3] ^= 1
            weights.write_bytes(content)
        again, retrained, second, openings = self.go(xor, tmp_path)
        assert openings == 1
        assert [replace(epoch, seconds=0) for epoch in again] == [replace(e, seconds=0) for e in history]
        assert retrained == trained
        for name, value in first.state_dict().items():
            torch.testing.assert_close(second.state_dict()[name], value, rtol=0, atol=0)

    def test_another_key_is_another_training(self, xor: Xor, tmp_path: Path) -> None:
        self.go(xor, tmp_path)
        assert self.go(xor, tmp_path, key="other")[3] == 1


def test_seeds_of_purposes_do_not_depend_on_each_other() -> None:
    seeds = {
        seed_of(0, "fit", "image"),
        seed_of(0, "fit", "text"),
        seed_of(1, "fit", "image"),
        seed_of(0, "fusion"),
    }
    assert len(seeds) == 4
    assert seed_of(0, "fit", "image") == seed_of(0, "fit", "image")
