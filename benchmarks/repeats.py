"""What a run costs again: on unchanged rows, and with one row in a hundred changed.

    python -m benchmarks.repeats --rows 100000

Rows of numbers, text and a small picture each are ingested, preprocessed and extracted three times into the
same folder, each time by a new process: first with nothing there, then unchanged, then with the cells and the
picture of 1 % of the rows changed. Encoders are untrained and stay the same, as pretrained ones do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import flows.environment  # noqa: F401  (settings of the allocator, as in a run)
from benchmarks.child import in_child
from benchmarks.generated import Change, pipeline_of, write_rows
from benchmarks.machine import machine
from benchmarks.steps import to_features

INPUTS = ("table", "text", "image")
CHANGED = Change(share=0.01, pictures=True)


def run(manifest: Path, folder: Path) -> dict[str, float]:
    """Seconds of each step."""
    return to_features(pipeline_of(manifest, INPUTS), folder)[0]


def measure(rows: int, folder: Path) -> dict[str, dict[str, float]]:
    """Seconds of each step, by what the run found."""
    found = {}
    for name, change in (("first", None), ("unchanged", None), ("1 % changed", CHANGED)):
        manifest = write_rows(folder, rows, INPUTS, change=change)
        found[name] = in_child(run, manifest, folder / "work").result
        print(f"{name}: {sum(found[name].values()):.1f} s", file=sys.stderr)
    return found


def report(found: Mapping[str, Mapping[str, float]], command: str) -> str:
    """Markdown."""
    lines = [
        f"`{command}`  ",
        f"{machine()}",
        "",
        f"| seconds | {' | '.join(found)} |",
        f"|---|{'---|' * len(found)}",
        *(
            f"| {step} | {' | '.join(f'{seconds[step]:.2f}' for seconds in found.values())} |"
            for step in found["first"]
        ),
        f"| all | {' | '.join(f'{sum(seconds.values()):.2f}' for seconds in found.values())} |",
    ]
    first = sum(found["first"].values())
    shares = [f"{sum(seconds.values()) / first:.3f}" for seconds in found.values()]
    lines.append(f"| share of the first | {' | '.join(shares)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--workspace", type=Path, help="kept; else a temporary folder")
    given = parser.parse_args()
    with TemporaryDirectory() as temporary:
        found = measure(given.rows, given.workspace or Path(temporary))
    print(report(found, f"python -m benchmarks.repeats --rows {given.rows}"))


if __name__ == "__main__":
    main()
