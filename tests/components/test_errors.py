"""A message for people is short, whatever has gone wrong how often."""

from components.errors import DataError, from_text, to_text


def test_a_message_of_very_many_lines_is_cut_in_the_middle() -> None:
    error = DataError("\n".join(f"line {number}" for number in range(100_000)))
    lines = str(error).splitlines()
    assert len(lines) == 20
    assert lines[:2] == ["line 0", "line 1"]
    assert lines[17:] == ["... 99981 more lines", "line 99998", "line 99999"]
    assert str(from_text(to_text(error))) == str(error)


def test_twenty_lines_are_left_as_they_are() -> None:
    text = "\n".join(f"line {number}" for number in range(20))
    assert str(DataError(text)) == text
