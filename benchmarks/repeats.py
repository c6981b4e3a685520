"""Cost of a repeated run: on unchanged rows, and with one row in a hundred changed.

    python -m benchmarks.repeats --rows 100000

Rows of numbers, text and a small image are ingested, preprocessed and extracted three times into the same
folder, each time by a new process. The folder is first empty, then the rows are unchanged, then the cells and
the image of 1 % of the rows have changed. Encoders are untrained and stay the same, as pretrained ones do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.child import Child, in_child
from benchmarks.generated import Change, pipeline_of, write_rows
from benchmarks.machine import machine
from benchmarks.steps import Spent, to_features
from flows.process_settings import configure_process

INPUTS = ("table", "text", "image")
CHANGED = Change(share=0.01, images=True)


def run(manifest: Path, folder: Path) -> dict[str, Spent]:
    """Time each step."""
    return to_features(pipeline_of(manifest, INPUTS), folder)[0]


def measure(rows: int, folder: Path) -> dict[str, Child[dict[str, Spent]]]:
    """Measure time of each step and peak of memory, by state of the rows."""
    children = {}
    for name, change in (("first", None), ("unchanged", None), ("1 % changed", CHANGED)):
        manifest = write_rows(folder, rows, INPUTS, change=change)
        children[name] = in_child(run, manifest, folder / "work")
        print(f"{name}: {children[name].seconds:.1f} s, {children[name].peak:.0f} MiB", file=sys.stderr)
    return children


def report(children: Mapping[str, Child[dict[str, Spent]]], command: str) -> str:
    """Write a table in Markdown."""
    lines = [
        f"`{command}`  ",
        machine(),
        "",
        f"| processor (wall) seconds | {' | '.join(children)} |",
        f"|---|{'---|' * len(children)}",
    ]
    for step in children["first"].result:
        lines.append(_line(step, [child.result[step] for child in children.values()]))
    sums = [
        Spent(
            sum(each.wall for each in child.result.values()), sum(each.cpu for each in child.result.values())
        )
        for child in children.values()
    ]
    lines.append(_line("all", sums))
    shares = [f"{each.cpu / sums[0].cpu:.3f} ({each.wall / sums[0].wall:.3f})" for each in sums]
    lines.append(f"| share of the first | {' | '.join(shares)} |")
    lines.append(
        f"| peak of memory, MiB | {' | '.join(f'{child.peak:.0f}' for child in children.values())} |"
    )
    return "\n".join(lines)


def _line(name: str, spent: Sequence[Spent]) -> str:
    return f"| {name} | {' | '.join(f'{each.cpu:.2f} ({each.wall:.2f})' for each in spent)} |"


def main() -> None:
    """Measure and print the table."""
    configure_process()  # the processes that it starts have the allocator of a run
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--workspace", type=Path, help="kept; else a temporary folder")
    given = parser.parse_args()
    with TemporaryDirectory() as temporary:
        children = measure(given.rows, given.workspace or Path(temporary))
    print(report(children, f"python -m benchmarks.repeats --rows {given.rows}"))


if __name__ == "__main__":
    main()
