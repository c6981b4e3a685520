"""Corruptions of text: typos and lost words. A text never becomes empty."""

import itertools
import re
from collections.abc import Callable, Mapping

import numpy as np

from components.preprocess.scripts import WORD

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    key: "".join(row[at] for at in (column - 1, column + 1) if 0 <= at < len(row))
    for row in _ROWS
    for column, key in enumerate(row)
}
_WORD = re.compile(rf"\s*(?:{WORD})")


def typos(text: str, severity: int, rng: np.random.Generator) -> str:
    """Substitute, drop or double letters and digits, each with a chance of .03, .06, .1, .15, .25.

    A substitute is a neighbour on a QWERTY keyboard, in the same case; a sign that the keyboard lacks is
    replaced by another of the same text, so that the script stays.

    Source: three of the four slips of Damerau 1964, with neighbouring keys as in Belinkov & Bisk 2018
    (https://arxiv.org/abs/1711.02173); the chances are ours. A slip is made at every higher severity too;
    swapped letters are left out, as they would undo it.
    """
    chance = (0.03, 0.06, 0.1, 0.15, 0.25)[severity - 1]
    written = []
    for letter, draw, kind, which in zip(text, *rng.random((3, len(text))), strict=True):
        if draw >= chance or not letter.isalnum():
            written.append(letter)
        elif kind < 1 / 3:
            written.append(_substitute(letter, text, which))
        elif kind < 2 / 3:
            written.append(letter + letter)
    damaged = "".join(written)
    return damaged if damaged.strip() else text


def word_dropout(text: str, severity: int, rng: np.random.Generator) -> str:
    """Drop words with a chance of .1, .2, .35, .5, .7 each; one always stays.

    Source: word dropout of Iyyer et al. 2015 (Deep Averaging Networks); the chances are ours. A word that is
    lost is lost at every higher severity. In scripts without spaces each sign is a word.
    """
    words = _WORD.findall(text)
    if not words:
        return text
    draws = rng.random(len(words))
    stays = draws >= (0.1, 0.2, 0.35, 0.5, 0.7)[severity - 1]
    stays[draws.argmax()] = True
    if stays.all():
        return text
    return "".join(itertools.compress(words, stays)).strip()


TEXT: Mapping[str, Callable[[str, int, np.random.Generator], str]] = {
    "typos": typos,
    "word_dropout": word_dropout,
}


def _substitute(letter: str, text: str, which: float) -> str:
    """Choose another sign by ``which`` in [0, 1)."""
    known = _NEIGHBOURS.get(letter.lower())
    others = known or sorted({sign for sign in text if sign.isalnum() and sign != letter}) or [letter]
    other = others[int(which * len(others))]
    return other.upper() if known and letter.isupper() else other
