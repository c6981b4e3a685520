"""Writer of "Bad input" in docs/operate/reliability.md: ``python -m tests.acceptance.bad_input.table``."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

from tests.acceptance.bad_input.guarded import all_cases, try_all
from tests.acceptance.bad_input.oracle import CORPORA, Finding

PAGE = Path(__file__).parents[3] / "docs" / "operate" / "reliability.md"
BEGIN, END = "<!-- bad input: python -m tests.acceptance.bad_input.table -->", "<!-- end of bad input -->"
_WHAT = {
    "images": "JPEG, PNG, WebP, GIF, TIFF, BMP: cut at every tenth, one bit turned, files of other kinds, "
    "bombs; CMYK, 16 bits, palettes, animations, EXIF",
    "audio": "WAV, FLAC, Ogg, MP3, AIFF: the same; NaN, headers that lie; 8 to 32 bits, 1 to 8 channels, "
    "1 Hz to 384 kHz",
    "texts": "NUL, lone surrogates, right to left, emoji, tokens of 1 MB",
    "tables": "columns of numbers, words, dates and all mixed: NaN, Inf, 5000 digits, other notations",
    "manifests": "CSV, JSON lines, Parquet, packed ones: encodings, quotes, ragged rows, ids, splits, "
    "labels, bombs",
    "configs": "YAML: broken, bombs of anchors, wrong types, wrong values",
}
_HEAD = (
    "| kind | tried | refused, with a reason | used, and right | used as it reads | crashed | hung "
    "| substituted |"
)


def table(findings: list[Finding]) -> str:
    """Give the outcomes of each kind, as Markdown."""
    wanted = {(case.kind, case.name): case.wanted for case in all_cases()}
    lines = [_HEAD, "|---|" + "---:|" * 7]
    rows = {kind: [finding for finding in findings if finding.kind == kind] for kind in CORPORA}
    for name, of_kind in {**rows, "**all**": findings}.items():
        became = Counter(finding.became for finding in of_kind)
        unsure = sum(
            finding.became == "used" and wanted[finding.kind, finding.name] == "either" for finding in of_kind
        )
        right = became["used"] - unsure
        bad = (became["crashed"], became["hung"], became["substituted"])
        cells = (len(of_kind), became["refused"], right, unsure, *bad)
        lines.append(f"| {name} | " + " | ".join(map(str, cells)) + " |")
    kinds = "\n".join(f"- **{kind}**: {what}." for kind, what in _WHAT.items())
    return "\n".join(lines) + f"\n\n{kinds}"


def write(findings: list[Finding]) -> None:
    """Put the table between its marks."""
    text = PAGE.read_text("utf-8")
    made = re.sub(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}",
        lambda _: f"{BEGIN}\n\n{table(findings)}\n\n{END}",
        text,
        flags=re.DOTALL,
    )
    PAGE.write_text(made, "utf-8")


if __name__ == "__main__":
    outcomes = list(try_all())
    write(outcomes)
    for finding in outcomes:
        if not finding.is_right:
            print(f"{finding.kind}, {finding.name}: {finding.became}: {finding.message}", file=sys.stderr)
    sys.exit(any(not finding.is_right for finding in outcomes))
