"""Pages and tables in Markdown; data cannot become markup."""

from __future__ import annotations

from components.results import markdown
from components.results.table import Table, number, text

EVIL = "<b>|x|</b>\n# *y* `z`"
HARMLESS = "‹b›¦x¦‹/b› # ·y· 'z'"


def test_a_table_has_the_numbers_of_files_and_nothing_for_what_is_not_defined() -> None:
    table = Table("", (text("a"), number("b")), (("x", 0.123456), ("y", None)))
    assert markdown.table(table).splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| x | 0.1235 |",
        "| y |  |",
    ]


def test_data_is_on_one_line_and_without_markup() -> None:
    table = Table(EVIL, (text(EVIL),), ((EVIL,),))
    page = markdown.page(EVIL, EVIL, [EVIL], [table])
    assert page.split("\n\n") == [
        f"# {HARMLESS}",
        f"{HARMLESS}.",
        f"- {HARMLESS}",
        HARMLESS,
        f"| {HARMLESS} |\n| --- |\n| {HARMLESS} |",
    ]


def test_brackets_stay_around_intervals_of_numbers_alone() -> None:
    assert markdown.plain("+0.458 [+0.312, 1e-05]") == "+0.458 [+0.312, 1e-05]"
    for link in ("[x](y)", "[0.1, 0.2](y)", "[0.1, 0.2] (y)", "[0.1, 0.2]: y", "[0.1, 0.2] [y]"):
        assert "[" not in markdown.plain(link)


def test_a_page_without_findings_has_no_empty_list() -> None:
    assert markdown.page("title", "headline", []) == "# title\n\nheadline."
