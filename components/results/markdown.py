"""Results as Markdown: pages of the dashboard, descriptions of the tracker."""

import re
from collections.abc import Iterable
from typing import Any

from components.results.table import Table
from components.results.visible import visible

_MARKUP = str.maketrans("`*<>|[]", "'·‹›¦［］")
_NUMBER = r"[-+−]?[0-9.]+(?:e[-+]?[0-9]+)?%?"
_INTERVAL = re.compile(rf"［({_NUMBER}, {_NUMBER})］(?!\s*[(:［])")  # what no link can be made of


def plain(value: Any) -> str:
    """Text on its way to a reader of Markdown: on one line, without markup; all data passes here.

    No tag, link or image is left: one that is loaded tells its address who reads the page. Markup becomes
    letters that look alike, since some places show the backslash of an escape. The brackets of an interval
    of numbers stay, as some fonts lack those letters.
    """
    if value is None:
        return ""
    return _INTERVAL.sub(r"[\1]", visible(" ".join(str(value).split())).translate(_MARKUP))


def table(shown: Table) -> str:
    """Write a table as Markdown, with the numbers of files."""
    rows = [shown.names, ["---"] * len(shown.names), *(row.values() for row in shown.records())]
    return "\n".join("| " + " | ".join(map(plain, row)) + " |" for row in rows)


def page(title: str, headline: str, findings: Iterable[str], tables: Iterable[Table] = ()) -> str:
    """Write a page: title, the result in a line, what else to read, and the tables below their captions."""
    items = "\n".join(f"- {plain(finding)}" for finding in findings)
    parts = [f"# {plain(title)}", f"{plain(headline)}.", items]
    for each in tables:
        parts += [plain(each.caption), table(each)]
    return "\n\n".join(part for part in parts if part)
