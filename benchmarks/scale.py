"""What very many samples take: the arithmetic of docs/scale.md, and the rates of one process that it needs.

    python -m benchmarks.scale            the tables of docs/scale.md
    python -m benchmarks.scale --measure  index and training of one process, on this machine

Rates a core of preprocess and extract are those that benchmarks/engines.py measures. Replace the numbers of
MEASURED and ASSUMED by others and write the tables anew.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import machine
from components.config.fusion import ConcatConfig
from components.config.training import TrainingConfig
from components.fusion import build_fusion
from components.networks import Fused
from components.objectives import Supervised
from components.storage.digest import digest
from components.storage.shards import ShardStore
from components.targets import Classification, Targets
from components.training.batches import EmbeddingSource
from components.training.loop import train


@dataclass(frozen=True)
class Rates:
    """One modality, measured.

    Attributes:
        prepare, extract: Rows a second of one core, by Ray, while it is going.
        canonical, feature: Bytes a row on disk.
    """

    prepare: float
    extract: float
    canonical: float
    feature: float


@dataclass(frozen=True)
class OneProcess:
    """What a run's own process does by itself, measured.

    Attributes:
        ingest: Rows a second of a manifest of small pictures, each file read and digested.
        index: Keys a second when a store of features is opened.
        index_bytes: Memory a key.
        train: Rows a second of a training on cached features, two inputs, one core.
    """

    ingest: float
    index: float
    index_bytes: float
    train: float


@dataclass(frozen=True)
class Assumed:
    """What is not measured here but assumed.

    Attributes:
        samples: Rows.
        cores: Of a machine.
        price: Of a machine an hour, in dollars.
        storage: Of a terabyte a month, in dollars.
        hours: In which preprocess and extract shall be done.
        epochs: Of the fusion.
    """

    samples: int
    cores: int
    price: float
    storage: float
    hours: float
    epochs: int


MEASURED = {
    "image": Rates(1, 1, 1, 1),
    "text": Rates(1, 1, 1, 1),
    "audio": Rates(1, 1, 1, 1),
}
PROCESS = OneProcess(1, 1, 1, 1)
ASSUMED = Assumed(samples=100_000_000, cores=32, price=1.0, storage=23.0, hours=24, epochs=10)


def workers_table(measured: dict[str, Rates], assumed: Assumed) -> str:
    """What is divided over the cluster: preprocess and extract, by modality."""
    lines = [
        "| input | core hours: preprocess | extract | machines for a day | cost | a million | canonical, TB "
        "| features, TB | storage a month |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    sums = [0.0, 0.0, 0.0, 0.0]
    for name, rates in measured.items():
        hours = [assumed.samples / rate / 3600 for rate in (rates.prepare, rates.extract)]
        terabytes = [assumed.samples * size / 1e12 for size in (rates.canonical, rates.feature)]
        sums = [before + more for before, more in zip(sums, [*hours, *terabytes], strict=True)]
        lines.append(_workers_row(name, [*hours, *terabytes], assumed))
    lines.append(_workers_row("**all three**", sums, assumed))
    return "\n".join(lines)


def _workers_row(name: str, taken: list[float], assumed: Assumed) -> str:
    prepare, extract, canonical, feature = taken
    machine_hours = (prepare + extract) / assumed.cores
    cost = machine_hours * assumed.price
    return (
        f"| {name} | {_shown(prepare)} | {_shown(extract)} | {math.ceil(machine_hours / assumed.hours)} "
        f"| ${_shown(cost)} | ${_shown(cost / assumed.samples * 1e6)} "
        f"| {_shown(canonical)} | {_shown(feature)} | ${_shown((canonical + feature) * assumed.storage)} |"
    )


def process_table(process: OneProcess, measured: dict[str, Rates], assumed: Assumed, width: int = 384) -> str:
    """What one process does alone, which no further machine makes faster."""
    samples, inputs = assumed.samples, len(measured)
    rows = [
        ("ingest, hours", samples / process.ingest / 3600),
        ("index of one input's features, hours", samples / process.index / 3600),
        ("that index in memory, GB", samples * process.index_bytes / 1e9),
        (
            f"embeddings of {inputs} inputs ({width} wide) in each trainer, GB",
            samples * inputs * width * 4 / 1e9,
        ),
        (
            f"training, {assumed.epochs} epochs, hours of one core",
            samples * assumed.epochs / process.train / 3600,
        ),
    ]
    return "\n".join(
        ["| alone | at this size |", "|---|---|", *(f"| {name} | {_shown(v)} |" for name, v in rows)]
    )


def _shown(value: float) -> str:
    """Two figures, as many as rates hold that move with the machine."""
    if value >= 100:
        digits = len(str(int(value))) - 2
        return f"{round(value / 10**digits) * 10**digits:,}"
    return f"{value:.2g}"


def measure_index(keys: int = 50_000, width: int = 384, shard: int = 1024) -> tuple[float, float]:
    """Keys a second, and bytes of memory a key, when a store of features is asked what it lacks."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        names = [digest(str(number)) for number in range(keys)]
        store = ShardStore(Path(folder), "parquet")
        for start in range(0, keys, shard):
            part = names[start : start + shard]
            store.append(part, list(random.normal(size=(len(part), width)).astype(np.float32)))
        begin = time.perf_counter()
        assert not ShardStore(Path(folder), "parquet").missing(names)
        seconds = time.perf_counter() - begin
        fresh = ShardStore(Path(folder), "parquet")
        tracemalloc.start()
        fresh.missing(names[:1])
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return keys / seconds, used / keys


def measure_training(rows: int = 50_000, width: int = 384) -> float:
    """Rows a second of an epoch: two inputs, fusion by concatenation, batches of 1024."""
    torch.manual_seed(0)
    targets = Targets((Classification("label", "accuracy", tuple("abcdefghij")),))
    parts = {name: torch.randn(rows, width) for name in ("a", "b")}
    labels = {"label": torch.randint(0, 10, (rows,))}
    source = EmbeddingSource(parts, torch.ones(rows, 2, dtype=torch.bool), labels, torch.device("cpu"))
    config = TrainingConfig(epochs=3, batch_size=1024, patience=None)
    network = Fused(build_fusion(ConcatConfig(), dict.fromkeys(parts, width), targets), targets)
    few = EmbeddingSource(
        {name: part[:1000] for name, part in parts.items()},
        source.present[:1000],
        {"label": labels["label"][:1000]},
        torch.device("cpu"),
    )
    with tempfile.TemporaryDirectory() as folder:
        epochs = list(
            train(
                network,
                Supervised(targets, config, labels),
                source,
                few,
                config,
                seed=0,
                folder=Path(folder),
                device=torch.device("cpu"),
            )
        )
    return rows / min(epoch.seconds for epoch in epochs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true", help="measure this machine instead")
    if parser.parse_args().measure:
        print(machine())
        keys, size = measure_index()
        print(f"index: {keys:.0f} keys a second, {size:.0f} bytes a key")
        print(f"training: {measure_training():.0f} rows a second with {torch.get_num_threads()} threads")
    else:
        print(workers_table(MEASURED, ASSUMED), process_table(PROCESS, MEASURED, ASSUMED), sep="\n\n")


if __name__ == "__main__":
    main()
