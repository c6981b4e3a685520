"""Hashed n-grams of words and characters."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Self

from sklearn.utils import murmurhash3_32

_WORD = re.compile(r"\w+|[^\w\s]+")  # a smiley or a run of signs is a word too
_WORDS, _CHARACTERS = 0, 1  # seeds: the word "cat" and the characters "cat" are different n-grams


class NgramTokenizer:
    """Each n-gram of a text becomes a bucket by its MurmurHash3; nothing is learned.

    Args:
        buckets: Ids run from 1 to this.
        words: Longest n-gram of words; 0 for none.
        characters: Shortest and longest n-gram of characters within a word, its ends marked by ``<``
            and ``>``; (0, 0) for none.
        max_words: Further words are cut.
        lowercase: Ignore case.
    """

    name = "ngrams"

    def __init__(
        self, buckets: int, words: int, characters: Sequence[int], max_words: int, lowercase: bool
    ) -> None:
        self.buckets = buckets
        self.words = words
        self.characters = (characters[0], characters[1])
        self.max_words = max_words
        self.lowercase = lowercase

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
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(**state)

    def encode(self, text: str) -> list[int]:
        """Buckets of all n-grams; a text without any has the bucket of the empty n-gram."""
        text = text.casefold() if self.lowercase else text
        words = [match.group() for match in islice(_WORD.finditer(text), self.max_words)]
        ids = [self._bucket(gram, _WORDS) for gram in word_ngrams(words, self.words)]
        ids += [
            self._bucket(gram, _CHARACTERS)
            for word in words
            for gram in character_ngrams(word, *self.characters)
        ]
        return ids or [self._bucket("", _WORDS)]

    def _bucket(self, gram: str, seed: int) -> int:
        return 1 + int(murmurhash3_32(gram, seed=seed, positive=True)) % self.buckets


def word_ngrams(words: Sequence[str], longest: int) -> Iterator[str]:
    """All runs of one to ``longest`` words."""
    for length in range(1, longest + 1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])


def character_ngrams(word: str, shortest: int, longest: int) -> Iterator[str]:
    """All runs of ``shortest`` to ``longest`` characters of a word with its ends marked."""
    marked = f"<{word}>"
    for length in range(max(1, shortest), longest + 1):
        for start in range(len(marked) - length + 1):
            yield marked[start : start + length]
