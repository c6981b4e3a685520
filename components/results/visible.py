"""Characters that would steer a terminal, shown instead of sent to it."""

import re

# Control characters, those that turn the direction of writing, separators of lines, halves of a character.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_STEERING_IN_LINES = re.compile(_STEERING.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def visible(text: str, lines: bool = False) -> str:
    r"""Return a text with ``\u001b`` for each character that steers a terminal, as JSON writes it too.

    Args:
        text: Any text.
        lines: True for a text of several lines, which keeps its tabs and line feeds.
    """
    pattern = _STEERING_IN_LINES if lines else _STEERING
    return pattern.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
