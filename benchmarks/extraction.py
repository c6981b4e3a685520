"""Speed of extraction against its limit and against other programs, on the same files.

    python -m benchmarks.extraction image-vit
    python -m benchmarks.extraction image-resnet text audio audio-ast

The limit is the time of the same decoder for the files plus that of the same encoder's forward pass on
batches in memory. Each has all cores in the faster of two ways: a batch per core at once, or one batch after
the other on all cores. braid is the work of a run: `prepare` and `extract` with all they read, check and
write, from an empty cache to stored embeddings, opening the encoder included. Rivals get the first rows of
the same files, with their models open already and nothing to store. Every round measures all of it once, so
that other load on the machine falls on all alike. Medians of the rounds and their range are shown. Where
other programs take part of the cores, compare the time on cores, which counts only this program.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import extraction_media as media
from benchmarks import extraction_rivals as rivals
from benchmarks.extraction_rivals import Rival
from benchmarks.machine import machine
from benchmarks.number_formats import apart
from components.config import PipelineConfig
from components.config.encoders import PretrainedConfig
from components.data.ingest import ingest
from components.data.samples import open_samples_table
from components.inference.embedder import Embedder, batches_of
from components.models.encoders import build_encoder
from components.models.weights import encoder_digest, open_encoder, open_preprocessor
from components.pipeline.extract import extract
from components.pipeline.fit import take_frozen
from components.pipeline.preprocess import prepare
from components.preprocess import Preprocessor
from components.references import Dataset, EncoderWeights, Prepared
from components.runtime.device import choose_device, embedding_format, precision
from components.storage.shards import ShardStore
from components.storage.tensors import save_tensors
from flows.process_settings import configure_process

_DONE = "BRAID_BENCHMARK_STARTED"
ROWS = {"image-vit": 768, "image-resnet": 1536, "text": 4096, "audio": 3072, "audio-ast": 512}


@dataclass(frozen=True)
class Took:
    """Duration of a measurement.

    Attributes:
        wall: Seconds by the clock.
        cores: Seconds that this process and the workers it has waited for got of the cores.
    """

    wall: float
    cores: float

    def __add__(self, other: Took) -> Took:
        return Took(self.wall + other.wall, self.cores + other.cores)

    def __truediv__(self, rows: int) -> Took:
        return Took(self.wall / rows, self.cores / rows)


def took(work: Callable[[], Any]) -> Took:
    """Measure one call."""
    begin, used = time.perf_counter(), sum(os.times()[:4])
    work()
    return Took(time.perf_counter() - begin, sum(os.times()[:4]) - used)


@dataclass(frozen=True)
class Case:
    """Files, how braid embeds them, and rivals.

    Attributes:
        config: A pipeline of one input, ``cell``.
        folder: Of the manifest.
        cells: What the manifest holds.
        rivals: By what they are called.
        share: Of the rows that rivals get.
    """

    config: PipelineConfig
    folder: Path
    cells: list[str]
    rivals: Callable[[Any, Preprocessor], dict[str, Rival]]
    share: float

    @property
    def few(self) -> list[str]:
        """The rows that rivals get: a batch at least."""
        return self.cells[: max(rivals.BATCH, int(len(self.cells) * self.share))]


def case(name: str, rows: int, folder: Path, share: float) -> Case:
    """One of :data:`ROWS`, generated below ``folder``; rivals get this share of the rows."""
    kind, cores = name.partition("-")[0], torch.get_num_threads()
    options: dict[str, Any]
    others: Callable[[Any, Preprocessor], dict[str, Rival]]
    if kind == "image":
        model = (
            media.vit_small(folder / "model") if name == "image-vit" else media.resnet_18(folder / "model")
        )
        cells = media.write_photographs(folder / "files", rows)
        options = {"encoder": {"name": "pretrained", "model": model, "pooling": "cls"}, "fit_mode": "crop"}
        others = lambda encoder, preprocessor: {"pipeline": rivals.image_pipeline(model)}  # noqa: E731
    elif kind == "text":
        model = media.minilm()
        cells = media.write_texts(model, rows)
        options = {"encoder": {"name": "pretrained", "model": model}, "max_tokens": 256}
        others = lambda encoder, preprocessor: {  # noqa: E731
            "encode": rivals.sentence_encode(model, bf16=False),
            "encode, bf16": rivals.sentence_encode(model, bf16=True),
        }
    else:
        cells = media.write_audio(folder / "files", rows)
        options = {"encoder": {"name": "audio_cnn"}, "seconds": 5.0}
        others = lambda encoder, preprocessor: {}  # noqa: E731
        if name == "audio-ast":
            model = media.ast_tiny(folder / "model")
            options["encoder"] = {"name": "pretrained", "model": model}
            others = lambda encoder, preprocessor: {"pipeline": rivals.audio_pipeline(model)}  # noqa: E731

    def all_rivals(encoder: Any, preprocessor: Preprocessor) -> dict[str, Rival]:
        return {
            "loop, one by one": rivals.loop(encoder, preprocessor),
            "DataLoader": rivals.data_loader(encoder, preprocessor, cores, bf16=False),
            "DataLoader, bf16": rivals.data_loader(encoder, preprocessor, cores, bf16=True),
            **others(encoder, preprocessor),
        }

    media.write_manifest(folder / "rows.csv", cells)
    config = PipelineConfig.model_validate(
        {
            "name": name,
            "data": {"source": str(folder / "rows.csv"), "split": {"column": "split"}},
            "inputs": {"cell": {"modality": kind, "columns": "cell", **options}},
            "engine": {"device": "cpu"},
        }
    )
    return Case(config, folder, cells, all_rivals, share)


def weights_of(dataset: Dataset, prepared: Prepared, config: PipelineConfig, folder: Path) -> EncoderWeights:
    """A pretrained encoder as it is; one from scratch with random weights, in a file as a fit leaves them."""
    section = config.inputs["cell"].encoder
    if isinstance(section, PretrainedConfig):
        return take_frozen(dataset, prepared, config, folder)
    torch.manual_seed(0)
    encoder = build_encoder(section, open_preprocessor(prepared))
    file = folder / "encoder.safetensors"
    save_tensors(file, encoder.state_dict())
    return EncoderWeights("cell", str(file), "", encoder_digest(encoder, section), encoder.width, section)


class Bench:
    """One case, ready to be measured.

    Args:
        case: The files.
        numbers: Number format that braid is asked for.
    """

    def __init__(self, case: Case, dataset: Dataset, numbers: str) -> None:
        config = case.config
        section = config.inputs["cell"]
        fit = section.fit.model_copy(update={"precision": numbers})
        inputs = {"cell": section.model_copy(update={"fit": fit})}
        self.case, self.dataset, self.config = case, dataset, config.model_copy(update={"inputs": inputs})
        prepared = prepare(dataset, "cell", section, case.folder / "first", config.engine.shard_rows)
        self.weights = weights_of(dataset, prepared, config, case.folder)
        self.preprocessor = open_preprocessor(prepared)
        device = choose_device("cpu")
        self.numbers = embedding_format(numbers, device, isinstance(section.encoder, PretrainedConfig))
        encoder = open_encoder(self.weights, self.preprocessor)
        self.embedder = Embedder(encoder, self.preprocessor, device, self.numbers)
        keys = open_samples_table(dataset).rows(["cell"])["cell.digest"].tolist()
        rows = ShardStore(Path(prepared.store), "arrow").rows(keys)
        sizes = [rows[row].size for row in range(len(rows))]  # of all rows together: the least padding
        self.batches = [
            self.preprocessor.collate([rows[row].copy() for row in batch])
            for batch in batches_of(sizes, self.embedder.values)
        ]

    def decode(self, threads: int) -> Took:
        """Time of the decoder for all files."""

        def lengths(part: list[str]) -> list[int]:
            return [len(self.preprocessor.canonical(cell)) for cell in part]

        parts = [self.case.cells[first : first + 16] for first in range(0, len(self.case.cells), 16)]
        with ThreadPoolExecutor(threads) as pool:
            return took(lambda: list(pool.map(lengths, parts)))

    def forward(self, lanes: int) -> Took:
        """Time of the encoder for all batches, of which ``lanes`` are worked on at once."""
        cores = torch.get_num_threads()

        @torch.inference_mode()
        def embed(batch: dict[str, Tensor]) -> int:
            with precision(self.numbers, torch.device("cpu")):
                return len(self.embedder.encoder(batch))

        with ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(cores // lanes,)) as pool:
            taken = took(lambda: list(pool.map(embed, self.batches)))
        torch.set_num_threads(cores)
        return taken

    def braid(self) -> tuple[Took, Took]:
        """Time of preparing and of extracting, from an empty cache."""
        with tempfile.TemporaryDirectory(dir=self.case.folder) as folder:
            made: list[Prepared] = []
            section, rows = self.config.inputs["cell"], self.config.engine.shard_rows
            first = took(
                lambda: made.append(prepare(self.dataset, "cell", section, Path(folder) / "canonical", rows))
            )
            cache = Path(folder) / "features"
            second = took(lambda: extract(self.dataset, made[0], self.weights, self.config, cache))
        return first, second

    def moved(self) -> str:
        """Compare embeddings of the first rows in the number format with those of fp32."""
        rows = [self.preprocessor.canonical(cell) for cell in self.case.cells[:256]]
        exact = Embedder(
            open_encoder(self.weights, self.preprocessor),
            self.preprocessor,
            torch.device("cpu"),
            "fp32",
        )
        a, b = np.stack(exact(rows)), np.stack(self.embedder(rows))
        return f"{self.numbers} against fp32, {len(rows)} rows: {apart(a, b)}"


def measure(bench: Bench, rounds: int) -> dict[str, list[Took]]:
    """Time everything per row, a list of rounds."""
    case, cores = bench.case, torch.get_num_threads()
    encoder = open_encoder(bench.weights, bench.preprocessor)
    others = case.rivals(encoder, bench.preprocessor)
    few = case.few
    for run in others.values():
        run(few[: rivals.BATCH])
    times: dict[str, list[Took]] = {}

    def keep(what: str, each: Took) -> None:
        times.setdefault(what, []).append(each)
        shown = f"{1000 * each.wall:.2f} ms per row by the clock, {1000 * each.cores:.2f} on cores"
        print(f"{case.config.name}: {what}: {shown}", file=sys.stderr, flush=True)

    rows = len(case.cells)
    for _ in range(rounds):
        decode = min((bench.decode(threads) for threads in {1, cores}), key=lambda each: each.wall)
        forward = min((bench.forward(lanes) for lanes in {1, cores}), key=lambda each: each.wall)
        first, second = bench.braid()
        keep("limit", (decode + forward) / rows)
        keep("its decoding", decode / rows)
        keep("its forward pass", forward / rows)
        keep("braid", (first + second) / rows)
        keep("its preparing", first / rows)
        keep("its extracting", second / rows)
        for name, run in others.items():
            keep(name, took(partial(run, few)) / len(few))
    return times


def report(name: str, bench: Bench, taken: dict[str, list[Took]]) -> str:
    """Write a table in Markdown."""
    lines = [
        f"### {name}",
        "",
        f"{len(bench.case.cells)} rows ({len(bench.case.few)} for rivals), braid and limit in "
        f"{bench.numbers}, {len(taken['braid'])} rounds; load average {os.getloadavg()[0]:.1f}",
        "",
        "| | rows per second | core-ms per row | limit / it, clock | limit / it, cores | it / braid, clock "
        "| it / braid, cores |",
        "|---|---|---|---|---|---|---|",
    ]
    wall = {what: np.array([each.wall for each in rounds]) for what, rounds in taken.items()}
    cores = {what: np.array([each.cores for each in rounds]) for what, rounds in taken.items()}
    for what in taken:
        cells = [spread(1 / wall[what], 0), spread(1000 * cores[what], 2)]
        for times in (wall, cores):
            cells.append("" if what.startswith("its ") else spread(times["limit"] / times[what], 2))
        for times in (wall, cores):
            cells.append("" if what.startswith("its ") else spread(times[what] / times["braid"], 2))
        lines.append(f"| {what} | {' | '.join(cells)} |")
    if bench.numbers != "fp32":
        lines += ["", bench.moved()]
    return "\n".join(lines)


def spread(values: np.ndarray, digits: int) -> str:
    """Median, and the range in brackets."""
    return f"{np.median(values):.{digits}f} [{values.min():.{digits}f}, {values.max():.{digits}f}]"


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", default=list(ROWS), help=", ".join(ROWS))
    parser.add_argument("--rows", type=int, help="of each case")
    parser.add_argument("--share", type=float, default=0.25, help="of the rows that rivals get")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    given = parser.parse_args()
    print(f"`python -m benchmarks.extraction {' '.join(sys.argv[1:])}`  \n{machine()}")
    for name in given.cases:
        with tempfile.TemporaryDirectory() as folder:
            files = case(name, given.rows or ROWS[name], Path(folder), given.share)
            dataset = ingest(files.config, Path(folder) / "data", Path(folder))
            bench = Bench(files, dataset, given.precision)
            print("\n" + report(name, bench, measure(bench, given.rounds)), flush=True)


if __name__ == "__main__":
    if _DONE not in os.environ:  # glibc reads its settings when a process begins
        os.environ[_DONE] = "1"
        configure_process()
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.extraction", *sys.argv[1:]])
    main()
