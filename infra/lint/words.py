"""Words of code, comments and pages, checked by ``python infra/lint/words.py [FILE...]``.

CONTRIBUTING.md has the rules. Without files every file of the project is checked, but those of ``WAITING``.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
# Files whose paths begin with one of these are not rewritten yet. The list only shrinks.
WAITING: tuple[str, ...] = (
    "components/promotion/verdict.py",  # `found` is a field of stored verdicts
)
EXEMPT = ("infra/lint/", "tests/test_lint.py")  # they name the words that they forbid

STARTS = frozenset(["What", "Whether", "How", "Where", "Who", "Which", "Of", "When"])
NAMES = frozenset(["told", "said", "torn", "opened", "served", "reached", "kept", "found", "place", "there"])
MEDIA = {"picture": "image", "pictures": "images", "sound": "audio", "sounds": "audio"}
LONGEST = 25  # words per sentence of a docstring or a page

# Sentences end at a full stop, a colon or a semicolon before a space; a line of a list or of Args begins one.
_SENTENCE = re.compile(
    r"(?<=[.:;?!])\**\s+|\n\s*\n|\n\s*(?:[-*+]|\d+\.)\s+|\n\s*(?=[\w.*]+(?: \([^)]*\))?:\s)"
)
_CODE = re.compile(r"``[^`]*``|`[^`]*`|:\w+:`[^`]*`|https?://\S+|\]\([^)]*\)")
_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.DOTALL | re.MULTILINE)


class Offence(NamedTuple):
    """One break of a rule.

    Attributes:
        line: Number of the line, from 1.
        rule: ``start``, ``name``, ``media`` or ``long``.
        text: The offending words, and the remedy.
    """

    line: int
    rule: str
    text: str


def check(path: Path) -> list[Offence]:
    """Check one file by its kind: Python, Markdown, or settings with comments behind ``#``."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        tree = ast.parse(text)
        texts = [] if "tests" in path.parts else _texts(tree)
        return sorted([*_docstrings(tree), *_names(tree), *_comments(text), *texts])
    if path.suffix == ".md":
        prose = _FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)
        return [*_media(prose), *_long(re.sub(r"^\|.*$", "", prose, flags=re.MULTILINE))]
    comments = (re.search(r"(?:^|\s)#\s(.*)", line) for line in text.splitlines())
    return list(_media("\n".join(comment[1] if comment else "" for comment in comments)))


def _docstrings(tree: ast.Module) -> Iterator[Offence]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node)
        if not text:
            continue
        line = node.body[0].lineno
        start = text.split(maxsplit=1)[0].strip(",.:")
        if start in STARTS:
            yield Offence(line, "start", f"docstring begins with {start!r}: begin with a verb or a noun")
        yield from _media(text, line)
        yield from _long(text, line)


def _long(text: str, line: int = 1) -> Iterator[Offence]:
    for sentence in _SENTENCE.split(_FENCE.sub("", text)):
        words = re.findall(r"[^\W\d_][\w'’-]*", _CODE.sub("code", sentence))
        if len(words) > LONGEST and ">>>" not in sentence:
            first = " ".join(words[:6])
            yield Offence(line, "long", f"{len(words)} words, at most {LONGEST}: {first} ...")


def _names(tree: ast.Module) -> Iterator[Offence]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                pass
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                pass
            case ast.ClassDef(name=name) | ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                pass
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                pass
            case _:
                continue
        if name.lstrip("_") in NAMES:
            yield Offence(node.lineno, "name", f"{name!r} is no name: name the thing")


def _texts(tree: ast.Module) -> Iterator[Offence]:
    """Look through messages, descriptions and help texts: strings of several words that are no docstrings."""
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node not in docstrings and len(str(node.value).split()) > 1:
            yield from _media(str(node.value), node.lineno)


def _comments(text: str) -> Iterator[Offence]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield from _media(token.string, token.start[0])


def _media(text: str, line: int = 1) -> Iterator[Offence]:
    for number, row in enumerate(_CODE.sub("", text).splitlines(), line):
        for word in re.findall(r"[a-z]+", row.lower()):
            if word in MEDIA:
                yield Offence(number, "media", f"{word!r}: write {MEDIA[word]!r}")


def files() -> list[Path]:
    """List the project's files that the rules hold for."""
    kinds = ("*.py", "*.md", "*.yaml", "*.yml", "*.toml", "*.sh", "Makefile", "*Dockerfile")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *kinds],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def main(arguments: list[str]) -> int:
    """Print every offence, and the number of those in files that wait; 1 if there is any of the former."""
    chosen = [Path(name).resolve() for name in arguments]
    failed, waiting = 0, Counter[str]()
    for path in chosen or files():
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()
        if name.startswith(EXEMPT):
            continue
        offences = check(path)
        prefix = next((prefix for prefix in WAITING if name.startswith(prefix)), None)
        if prefix and not chosen:
            waiting[prefix] += len(offences)
            continue
        for offence in offences:
            print(f"{name}:{offence.line}: {offence.rule}: {offence.text}")
        failed += len(offences)
    for prefix in WAITING if not chosen else ():
        print(f"waiting: {prefix}: {waiting[prefix]}" + ("" if waiting[prefix] else ", can be removed"))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
