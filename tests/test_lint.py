"""The checkers of words and pages find each break of a rule, and nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "infra" / "lint" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


words, pages = _load("words"), _load("pages")


def _rules(tmp_path: Path, text: str, name: str = "module.py") -> list[tuple[int, str]]:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return [(offence.line, offence.rule) for offence in words.check(path)]


@pytest.mark.parametrize("start", sorted(words.STARTS))
def test_a_docstring_that_begins_with_a_question_is_named(tmp_path: Path, start: str) -> None:
    assert _rules(tmp_path, f'"""A module."""\n\n\ndef width():\n    """{start} it is."""\n') == [
        (5, "start")
    ]


@pytest.mark.parametrize(
    "code",
    [
        "found = 1",
        "for place in []:\n    pass",
        "def told():\n    pass",
        "def f(kept):\n    pass",
        "class A:\n    _torn: int",
        "import os as there",
        "try:\n    pass\nexcept OSError as said:\n    pass",
        "with open('x') as opened:\n    pass",
        "self = 1\nself.reached = 2",
        "match 1:\n    case served:\n        pass",
        "[found for found in ()]",
        "lambda found: 1",
    ],
)
def test_a_forbidden_name_is_found_wherever_it_is_bound(tmp_path: Path, code: str) -> None:
    assert [rule for _, rule in _rules(tmp_path, code + "\n")] == ["name"]


def test_a_name_that_only_contains_a_forbidden_one_or_is_only_used_passes(tmp_path: Path) -> None:
    assert _rules(tmp_path, "place_id = 1\nfoundation = 2\nprint(library.found)\n") == []


def test_picture_and_sound_are_named_in_docstrings_comments_messages_and_pages(tmp_path: Path) -> None:
    code = '"""A picture.\n\nTwo Sounds."""\n\nx = 1  # of a sound\nraise OSError("no picture here")\n'
    assert _rules(tmp_path, code) == [(1, "media"), (3, "media"), (5, "media"), (6, "media")]
    page = "A `picture` in code.\n\n```\npicture\n```\n\nA picture.\n"
    assert _rules(tmp_path, page, "page.md") == [(7, "media")]
    assert _rules(tmp_path, "sound: 1\nvoice: 2  # a sound\n", "file.yaml") == [(2, "media")]


def test_a_single_string_such_as_a_key_may_be_any_word(tmp_path: Path) -> None:
    assert _rules(tmp_path, 'x = {"sound": 1, f"{2} picture": 3}\n') == []


def test_a_long_sentence_is_named_and_a_long_list_is_not(tmp_path: Path) -> None:
    long = " ".join(["word"] * 26)
    assert _rules(tmp_path, f'"""A module: {long}."""\n') == [(1, "long")]
    half = " ".join(["word"] * 13)
    assert _rules(tmp_path, f'"""A module.\n\nArgs:\n    a: {half}\n    b: {half}\n"""\n') == []
    assert _rules(tmp_path, f'"""A module. {half}. {half}."""\n') == []


def test_a_page_is_held_to_its_links_anchors_commands_and_targets(tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text('# A Title: of it\n\n<a id="own"></a>\n', "utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#a-title-of-it) [b](other.md#own) [c](other.md#none) [d](gone.md) [e](https://x.org)\n"
        "`make lint`, `make nothing`, `braid run FILE`, `braid walk`, `braid --help`\n",
        "utf-8",
    )
    assert list(pages.check(page, {"run"}, {"lint"})) == [
        "link to other.md#none: no such heading or anchor",
        "link to gone.md, which does not exist",
        "`make nothing` does not exist",
        "`braid walk` does not exist",
    ]


def test_a_long_sentence_of_a_page_is_named_and_a_table_is_not(tmp_path: Path) -> None:
    long = " ".join(["word"] * 26)
    assert [rule for _, rule in _rules(tmp_path, f"Some text. {long}.\n", "page.md")] == ["long"]
    assert _rules(tmp_path, f"| a | b |\n|---|---|\n| {long} | {long} |\n", "page.md") == []
    half = " ".join(["word"] * 20)
    assert _rules(tmp_path, f"**A title of some words.** {half}: {half}\n", "page.md") == []
