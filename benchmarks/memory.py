"""Peak memory of ingest, preprocess and extract at few rows and at many.

    python -m benchmarks.memory --rows 1000000 --images 100000

Each step runs in a process of its own, whose highest resident memory is read at its end. A table of numbers
and text is measured at 10,000 rows and at ``--rows``; small images at a tenth of ``--images`` and at all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.child import Child, in_child
from benchmarks.generated import pipeline_of, write_rows
from benchmarks.machine import machine
from benchmarks.steps import fresh_encoder
from components.config.pipeline import PipelineConfig
from components.data.ingest import ingest
from components.pipeline.extract import extract
from components.pipeline.preprocess import prepare
from components.references import Dataset, Features, Prepared
from flows.process_settings import configure_process

FEW = 10_000
Steps = dict[str, Child[object]]


def ingested(config: PipelineConfig, folder: Path) -> Dataset:
    """Run ingest."""
    return ingest(config, folder / "data", folder)


def preprocessed(config: PipelineConfig, folder: Path, dataset: Dataset, name: str) -> Prepared:
    """Preprocess one input."""
    return prepare(dataset, name, config.inputs[name], folder / "canonical", config.engine.shard_rows)


def extracted(config: PipelineConfig, folder: Path, dataset: Dataset, prepared: Prepared) -> Features:
    """Extract one input with an untrained encoder."""
    weights = fresh_encoder(prepared, config, folder / "encoders")
    return extract(dataset, prepared, weights, config, folder / "features")


def measure(rows: int, inputs: Sequence[str], folder: Path) -> Steps:
    """Measure each step by its name."""
    config = pipeline_of(write_rows(folder, rows, inputs), inputs)
    first = in_child(ingested, config, folder)
    steps: Steps = {"ingest": first}  # type: ignore[dict-item]  # results are of different types
    for name in inputs:
        second = in_child(preprocessed, config, folder, first.result, name)
        third = in_child(extracted, config, folder, first.result, second.result)
        steps |= {f"preprocess {name}": second, f"extract {name}": third}  # type: ignore[dict-item]
    for step, child in steps.items():
        print(f"{rows} rows, {step}: {child.peak:.0f} MiB, {child.seconds:.1f} s", file=sys.stderr)
    return steps


def report(few: Steps, many: Steps, counts: tuple[int, int]) -> list[str]:
    """Write a Markdown table of two sizes."""
    lines = [
        f"| peak MiB (seconds) | after imports | {counts[0]} rows | {counts[1]} rows | ratio |",
        "|---|---|---|---|---|",
    ]
    for step, low in few.items():
        high = many[step]
        lines.append(
            f"| {step} | {high.before:.0f} | {low.peak:.0f} ({low.seconds:.1f}) | "
            f"{high.peak:.0f} ({high.seconds:.1f}) | {high.peak / low.peak:.2f} |"
        )
    return lines


def main() -> None:
    """Measure and print the tables."""
    configure_process()  # the processes that it starts have the allocator of a run
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--workspace", type=Path, help="kept; else a temporary folder")
    given = parser.parse_args()
    lines = [f"`python -m benchmarks.memory --rows {given.rows} --images {given.images}`  ", machine()]
    for inputs, counts in (
        (("table", "text"), (FEW, given.rows)),
        (("image",), (given.images // 10, given.images)),
    ):
        if not counts[1]:
            continue
        sizes = []
        for rows in counts:
            with TemporaryDirectory() as temporary:
                folder = (
                    given.workspace / f"{'-'.join(inputs)}-{rows}" if given.workspace else Path(temporary)
                )
                sizes.append(measure(rows, inputs, folder))
        lines += ["", *report(sizes[0], sizes[1], counts)]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
