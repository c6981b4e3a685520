"""An epoch of fusion on cached features: braid's loop beside bare loops of the same model, and scikit-learn.

    python -m benchmarks.training --rows 100000

Features are made up: three inputs, 64 numbers each, ten classes. Every loop passes once over the training
rows and then judges the validation rows (a fifth as many). Rounds alternate, so that what else the machine
does falls on all alike; shown are medians and ranges over the rounds. Processor seconds are those of all
threads and worker processes; they hold still where other work takes turns on the same cores.

- ``braid``: components.training.loop as the pipeline calls it, a checkpoint after each epoch included;
- ``bare tensors``: the same network, AdamW, clipping and mask; all rows in tensors, batches by index;
- ``DataLoader``: the same with a Dataset of rows and the default collate, in this process and by 2 workers;
- ``scikit-learn``: an epoch of MLPClassifier with as many hidden units, and LogisticRegression to its end.

A last table has the making of the batches alone, without any model.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from benchmarks.machine import machine
from components.config.fusion import ConcatConfig, FusionConfig, GatedConfig
from components.config.training import TrainingConfig
from components.models.fusion import build_fusion
from components.models.networks import Fused
from components.objectives import Supervised
from components.targets import Classification, Targets
from components.training.batches import EmbeddingSource
from components.training.loop import train
from components.training.modality_dropout import hide

INPUTS, WIDTH, CLASSES, BATCH = ("audio", "image", "text"), 64, 10, 64
TARGETS = Targets((Classification("label", "accuracy", tuple(map(str, range(CLASSES)))),))
FUSIONS: dict[str, FusionConfig] = {"gated": GatedConfig(width=64), "concat": ConcatConfig(width=64)}
OPTIONS = TrainingConfig(epochs=1, batch_size=BATCH, schedule="constant", warmup=0)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Rows:
    """Some rows; a Dataset for a DataLoader.

    Attributes:
        embeddings: (N, D) by input.
        present: (N, M) bool.
        labels: (N,).
    """

    embeddings: dict[str, Tensor]
    present: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: int | Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        chosen = {name: value[rows] for name, value in self.embeddings.items()}
        return chosen, self.present[rows], self.labels[rows]

    @property
    def table(self) -> np.ndarray:
        """All embeddings side by side, for scikit-learn."""
        return torch.cat(list(self.embeddings.values()), dim=1).numpy()


def made(rows: int, seed: int) -> Rows:
    """Normal noise around a mean for each class; one input in twenty is absent."""
    means = torch.randn(len(INPUTS), CLASSES, WIDTH, generator=torch.Generator().manual_seed(0)) * 0.15
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (rows,), generator=generator)
    embeddings = {
        name: mean[labels] + torch.randn(rows, WIDTH, generator=generator)
        for name, mean in zip(INPUTS, means, strict=True)
    }
    present = torch.rand(rows, len(INPUTS), generator=generator) > 0.05
    present[~present.any(dim=1)] = True
    return Rows(embeddings, present, labels)


def network_of(fusion: FusionConfig) -> Fused:
    """Fusion and head, the same every time."""
    torch.manual_seed(0)
    return Fused(build_fusion(fusion, dict.fromkeys(INPUTS, WIDTH), TARGETS), TARGETS)


def braid(fusion: FusionConfig, training: Rows, validation: Rows) -> float:
    """Accuracy on validation after an epoch of braid's own loop."""
    learned, judged = (
        EmbeddingSource(rows.embeddings, rows.present, {"label": rows.labels}, CPU)
        for rows in (training, validation)
    )
    network = network_of(fusion)
    objective = Supervised(TARGETS, OPTIONS, {"label": training.labels})
    with TemporaryDirectory() as folder:
        (epoch,) = train(
            network,
            objective,
            learned,
            judged,
            OPTIONS,
            seed=0,
            folder=Path(folder),
            device=CPU,
            modality_dropout=fusion.modality_dropout,
        )
    return epoch.metric


def bare(fusion: FusionConfig, training: Rows, validation: Rows) -> float:
    """The same by hand, on tensors."""

    def batches(rows: Rows, order: Tensor) -> Iterable[tuple[dict[str, Tensor], Tensor, Tensor]]:
        for chosen in order.split(BATCH):
            yield rows[chosen]

    order = torch.randperm(len(training))
    return _by_hand(fusion, batches(training, order), batches(validation, torch.arange(len(validation))))


def loader(workers: int) -> Callable[[FusionConfig, Rows, Rows], float]:
    """The same by hand, with DataLoaders."""

    def run(fusion: FusionConfig, training: Rows, validation: Rows) -> float:
        load: Any = DataLoader  # Rows is a dataset by what it has, not by its base class
        return _by_hand(
            fusion,
            load(training, batch_size=BATCH, shuffle=True, num_workers=workers),
            load(validation, batch_size=BATCH, num_workers=workers),
        )

    return run


def _by_hand(fusion: FusionConfig, training: Iterable[Any], validation: Iterable[Any]) -> float:
    network = network_of(fusion)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01)
    generator = torch.Generator().manual_seed(0)
    network.train()
    for embeddings, present, labels in training:
        present = hide(present, fusion.modality_dropout.rate, generator)
        loss = cross_entropy(network(embeddings, present), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    network.eval()
    right = rows = 0
    with torch.inference_mode():
        for embeddings, present, labels in validation:
            right += int((network(embeddings, present).argmax(dim=1) == labels).sum())
            rows += len(labels)
    return right / rows


def perceptron(fusion: FusionConfig, training: Rows, validation: Rows) -> float:
    """An epoch of scikit-learn's network."""
    model = MLPClassifier((64,), batch_size=BATCH, max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(training.table, training.labels.numpy())
    return float(model.score(validation.table, validation.labels.numpy()))


def logistic(fusion: FusionConfig, training: Rows, validation: Rows) -> float:
    """scikit-learn's logistic regression, to its end."""
    model = LogisticRegression(max_iter=500).fit(training.table, training.labels.numpy())
    return float(model.score(validation.table, validation.labels.numpy()))


WAYS: dict[str, Callable[[FusionConfig, Rows, Rows], float]] = {
    "braid": braid,
    "bare tensors": bare,
    "DataLoader": loader(0),
    "DataLoader, 2 workers": loader(2),
    "scikit-learn MLP, one epoch": perceptron,
    "scikit-learn logistic regression": logistic,
}


@dataclass
class Spent:
    """Cost of a way in every round, and its result.

    Attributes:
        wall, cpu: Seconds.
        accuracy: Accuracy on validation; None where nothing is trained.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    accuracy: float | None = None

    def add(self, way: Callable[[], float | None]) -> None:
        """Measure one more call."""
        wall, cpu = time.perf_counter(), _processor()
        self.accuracy = way()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(_processor() - cpu)


def measure(fusion: FusionConfig, rows: int, rounds: int) -> dict[str, Spent]:
    """Measure the cost of an epoch, by way."""
    training, validation = made(rows, seed=1), made(rows // 5, seed=2)
    braid(fusion, made(1000, seed=3), made(200, seed=4))  # as the first call waits for late imports
    ways = {name: partial(way, fusion, training, validation) for name, way in WAYS.items()}
    return _alternating(ways, rounds)


def measure_batches(rows: int, rounds: int) -> dict[str, Spent]:
    """Measure the cost of all batches of an epoch, by way."""
    training = made(rows, seed=1)
    source = EmbeddingSource(training.embeddings, training.present, {"label": training.labels}, CPU)

    def by_index() -> None:
        for positions in torch.randperm(len(training)).split(BATCH):
            source.batch(positions)

    def by_loader(workers: int) -> None:
        load: Any = DataLoader
        for _ in load(training, batch_size=BATCH, shuffle=True, num_workers=workers):
            pass

    ways = {
        "braid": by_index,
        "DataLoader": lambda: by_loader(0),
        "DataLoader, 2 workers": lambda: by_loader(2),
    }
    return _alternating(ways, rounds)


def _alternating(ways: Mapping[str, Callable[[], float | None]], rounds: int) -> dict[str, Spent]:
    spent = {name: Spent() for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            spent[name].add(way)
    return spent


def report(by_way: Mapping[str, Spent], title: str) -> list[str]:
    """Write a Markdown table."""
    lines = [
        f"| {title} | processor s | braid / this, by round | wall s | braid / this | accuracy |",
        "|---|---|---|---|---|---|",
    ]
    ours = by_way["braid"]
    for name, spent in by_way.items():
        cpu = [own / other for own, other in zip(ours.cpu, spent.cpu, strict=True)]
        wall = [own / other for own, other in zip(ours.wall, spent.wall, strict=True)]
        cells = [_range(spent.cpu), _range(cpu), _range(spent.wall), _range(wall)]
        accuracy = "" if spent.accuracy is None else f"{spent.accuracy:.3f}"
        lines.append(f"| {name} | {' | '.join(cells)} | {accuracy} |")
    return lines


def _processor() -> float:
    """Processor seconds of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _range(values: Sequence[float]) -> str:
    """Median, and the range in brackets."""
    return f"{np.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"`python -m benchmarks.training --rows {given.rows} --rounds {given.rounds}`  ")
    print(f"{machine()}; {torch.get_num_threads()} threads")
    for name, fusion in FUSIONS.items():
        print("", *report(measure(fusion, given.rows, given.rounds), name), sep="\n")
    print("", *report(measure_batches(given.rows, given.rounds), "batches alone"), sep="\n")


if __name__ == "__main__":
    main()
