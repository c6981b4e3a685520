"""Links, commands and targets that pages name, checked by ``python infra/lint/pages.py``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
_FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
README_LINES, README_WORDS = 170, 1500


def check(page: Path, commands: set[str], targets: set[str]) -> Iterator[str]:
    """Check one page: its links lead to a file and a heading, and what it names exists.

    Args:
        page: Markdown file.
        commands: Names of the commands of ``braid``.
        targets: Names of the Makefile's targets.

    Yields:
        One message per fault.
    """
    text = page.read_text("utf-8")
    for name, anchor in _LINK.findall(_FENCE.sub("", text)):
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            yield f"link to {name}, which does not exist"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text("utf-8")):
            yield f"link to {name}#{anchor}: no such heading or anchor"
    for kind, known in (("make", targets), ("braid", commands)):
        for name in set(re.findall(rf"`{kind} ([a-z][a-z-]*)[` ]", text)) - known:
            yield f"`{kind} {name}` does not exist"


def anchors(text: str) -> set[str]:
    """Anchors of a page: of its headings, and those it sets itself."""
    headings = re.findall(r"^#+ +(.+?) *$", _FENCE.sub("", text), re.MULTILINE)
    slugs = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings)
    return {re.sub(r"[\s-]+", "-", slug.strip()) for slug in slugs} | set(re.findall(r'id="([^"]+)"', text))


def main() -> int:
    """Print the faults of all pages; 1 if there is any."""
    listed = (ROOT / "docs" / "reference" / "command-line.md").read_text("utf-8")
    commands = set(re.findall(r"^\| `braid ([a-z]+)", listed, re.MULTILINE))
    targets = set(
        re.findall(r"^([a-z-]+(?: [a-z-]+)*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    )
    targets = {name for names in targets for name in names.split()}
    faults = [
        f"{page.relative_to(ROOT)}: {fault}"
        for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
        for fault in check(page, commands, targets)
    ]
    index = (ROOT / "docs" / "decisions" / "index.md").read_text("utf-8")
    decisions = (path.name for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    faults += [
        f"docs/decisions/index.md: no line for {name}" for name in sorted(decisions) if name not in index
    ]
    readme = (ROOT / "README.md").read_text("utf-8")
    if len(readme.splitlines()) > README_LINES or len(readme.split()) > README_WORDS:
        faults.append(
            f"README.md: more than {README_LINES} lines or {README_WORDS} words: move parts to docs/"
        )
    print(*faults, sep="\n", end="\n" if faults else "")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
