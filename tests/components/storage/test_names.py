"""Names for other systems: short, of few characters, and never two for one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.storage.names import outside_name, outside_names

ODD = st.text(st.characters(), max_size=12) | st.text("aA_- .(€[/\n", max_size=4)


@pytest.mark.parametrize("name", ["price", "Größe_2", "写真", "a-b", "id", "prediction"])
def test_a_plain_name_stays(name: str) -> None:
    assert outside_name(name) == name


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("Preis (€)", "Preis_"),
        ("Preis [€]", "Preis_"),
        ('C/C++, "new"', "C_C_new_"),
        ("🦊", "name-"),
        ("", "name-"),
        ("..", "name-"),
        ("a\nb", "a_b-"),
        ("x" * 300, "x" * 54 + "-"),
    ],
)
def test_another_name_is_marked(name: str, begin: str) -> None:
    written = outside_name(name)
    assert written.startswith(begin.rstrip("_"))
    assert re.fullmatch(r".*-[0-9a-f]{8}", written)


@given(st.lists(ODD, unique=True, max_size=8))
def test_every_name_is_taken_and_no_two_become_one(names: list[str]) -> None:
    written = outside_names(names)
    assert len({name.casefold() for name in written.values()}) == len(names)
    assert len({outside_name(name) for name in names}) == len(names)
    for name in written.values():
        assert re.fullmatch(r"[\w-]+", name)
        assert len(name.encode()) <= 63
