"""Hashed n-grams of words and characters."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Self, TypeVar

from sklearn.utils import murmurhash3_32

from components.preprocess.scripts import SIGN, UNSPACED, is_unspaced

Parts = TypeVar("Parts", str, list[str])

_WORD = re.compile(r"\w+|[^\w\s]+")  # a smiley or a run of signs is a word too
_WORD_OR_RUN = re.compile(rf"[{UNSPACED}]+|[^\W{UNSPACED}]+|[^\w\s{UNSPACED}]+")
_SIGN = re.compile(SIGN)
_ANY_SIGN = re.compile(f"[{UNSPACED}]")
_SIGNS = 3  # longest n-gram of signs; most words of Chinese have two
_LONGEST_WORD = 100  # characters whose n-grams are taken
_WORDS, _CHARACTERS = 0, 1  # seeds: the word "cat" and the characters "cat" are different n-grams


class NgramTokenizer:
    """Each n-gram of a text becomes a bucket by its MurmurHash3; nothing is learned.

    Args:
        buckets: Ids run from 1 to this.
        words: Longest n-gram of words; 0 for none.
        characters: Shortest and longest n-gram of characters within a word, its ends marked by ``<``
            and ``>``; (0, 0) for none.
        max_words: Further words are cut; each sign of a script without spaces is one.
        lowercase: Ignore case.
        signs: Take n-grams of one to three signs in scripts without spaces, where words cannot be told; a
            model of an earlier braid takes each run for a word.
    """

    name = "ngrams"

    def __init__(
        self,
        buckets: int,
        words: int,
        characters: Sequence[int],
        max_words: int,
        lowercase: bool,
        signs: bool = False,
    ) -> None:
        self.buckets = buckets
        self.words = words
        self.characters = (characters[0], characters[1])
        self.max_words = max_words
        self.lowercase = lowercase
        self.signs = signs

    @property
    def vocabulary_size(self) -> int:
        """Largest id + 1."""
        return self.buckets + 1

    def fit(self, texts: Iterable[str]) -> None:
        """Nothing is learned."""

    def state(self) -> dict[str, Any]:
        return {
            "buckets": self.buckets,
            "words": self.words,
            "characters": list(self.characters),
            "max_words": self.max_words,
            "lowercase": self.lowercase,
            "signs": self.signs,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(**state)

    def encode(self, text: str) -> list[int]:
        """Buckets of all n-grams; a text without any has the bucket of the empty n-gram."""
        text = text.casefold() if self.lowercase else text
        if self.signs and _ANY_SIGN.search(text):
            words, grams = self._words_and_signs(text)
        else:
            words, grams = [match.group() for match in islice(_WORD.finditer(text), self.max_words)], []
        ids = [_bucket(" ".join(gram), _WORDS, self.buckets) for gram in ngrams(words, 1, self.words)]
        ids += [_bucket(gram, _CHARACTERS, self.buckets) for gram in grams]
        for word in words:
            ids += _buckets_of_word(word[:_LONGEST_WORD], *self.characters, self.buckets)
        return ids or [_bucket("", _WORDS, self.buckets)]

    def _words_and_signs(self, text: str) -> tuple[list[str], list[str]]:
        """Words, and n-grams of signs, of a text in which there are signs."""
        words: list[str] = []
        grams: list[str] = []
        left = self.max_words
        for match in _WORD_OR_RUN.finditer(text):
            if left <= 0:
                break
            if is_unspaced(match.group()):
                # Cut before anything is hashed: a run may be as long as the whole text.
                signs = [sign.group() for sign in islice(_SIGN.finditer(match.group()), left)]
                grams += ["".join(gram) for gram in ngrams(signs, 1, _SIGNS)]
                left -= len(signs)
            else:
                words.append(match.group())
                left -= 1
        return words, grams


def _bucket(gram: str, seed: int, buckets: int) -> int:
    return 1 + int(murmurhash3_32(gram, seed=seed, positive=True)) % buckets


@lru_cache(maxsize=2**16)  # a language repeats its words
def _buckets_of_word(word: str, shortest: int, longest: int, buckets: int) -> tuple[int, ...]:
    """Buckets of the character n-grams of a word, its ends marked."""
    return tuple(_bucket(gram, _CHARACTERS, buckets) for gram in ngrams(f"<{word}>", shortest, longest))


def ngrams(parts: Parts, shortest: int, longest: int) -> Iterator[Parts]:
    """All runs of ``shortest`` to ``longest`` neighbours, such as words of a list or letters of a text."""
    for length in range(max(1, shortest), longest + 1):
        for start in range(len(parts) - length + 1):
            yield parts[start : start + length]
