"""Scripts that are written without spaces between words, such as Chinese, Japanese, Thai and Khmer."""

import re
import unicodedata

_SOUTH_EAST_ASIA = (
    (0x0E00, 0x109F),  # Thai, Lao, Tibetan, Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0xA980, 0xA9FF),  # Javanese, Burmese
    (0xAA60, 0xAADF),  # Burmese, Tai Viet
)
_EAST_ASIA = (
    (0x3005, 0x3007),  # repetition, zero
    (0x3040, 0x312F),  # kana, bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0xA4CF),  # Han, Yi
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # kana of half width
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)

UNSPACED = "".join(f"{chr(first)}-{chr(last)}" for first, last in (*_SOUTH_EAST_ASIA, *_EAST_ASIA))
"""Letters of these scripts, to stand in the brackets of a regular expression."""

_MARKS = "".join(
    re.escape(chr(code))
    for first, last in _SOUTH_EAST_ASIA
    for code in range(first, last + 1)
    if unicodedata.category(chr(code)).startswith("M")
)
SIGN = rf"[{UNSPACED}][{_MARKS}\u3099\u309a\uff9e\uff9f]*"
"""Pattern of one letter of these scripts with its marks, such as vowels and tones."""

WORD = rf"{SIGN}|[^\s{UNSPACED}]+"
"""Pattern of a word; in these scripts of a sign, as only a dictionary knows their words."""


def is_unspaced(letter: str) -> bool:
    """Return True for a letter of these scripts."""
    return _LETTER.match(letter) is not None


_LETTER = re.compile(f"[{UNSPACED}]")
