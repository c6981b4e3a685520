"""Text to token ids."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, Self

import numpy as np
import torch

from components.config.encoders import (
    AnyEncoderConfig,
    GRUConfig,
    NgramsConfig,
    PretrainedConfig,
    TextTransformerConfig,
    TfidfConfig,
)
from components.data.cells import NotUnicodeError, whole
from components.errors import DataError
from components.preprocess.ngrams import NgramTokenizer
from components.preprocess.protocol import Samples, cells
from components.preprocess.subword import PretrainedTokenizer, SubwordTokenizer


class Tokenizer(Protocol):
    """Turns clean text into ids of 1 or more (a pretrained tokenizer may use 0 too), never none."""

    name: str

    def fit(self, texts: Iterable[str]) -> None: ...
    def state(self) -> dict[str, Any]: ...
    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self: ...
    def encode(self, text: str) -> list[int]: ...
    @property
    def vocabulary_size(self) -> int: ...


TOKENIZERS: dict[str, type[Tokenizer]] = {
    "ngrams": NgramTokenizer,
    "subword": SubwordTokenizer,
    "pretrained": PretrainedTokenizer,
}


def build_tokenizer(encoder: AnyEncoderConfig, max_tokens: int, lowercase: bool) -> Tokenizer:
    """The tokenizer that goes with an encoder of text."""
    match encoder:
        case NgramsConfig() | TfidfConfig():
            return NgramTokenizer(
                encoder.buckets, encoder.words, encoder.characters, max_tokens, lowercase, signs=True
            )
        case GRUConfig() | TextTransformerConfig():
            return SubwordTokenizer(encoder.vocabulary, max_tokens, lowercase)
        case PretrainedConfig():
            return PretrainedTokenizer.from_model(encoder.model, encoder.revision, max_tokens)
        case _:
            raise ValueError(f"{encoder.name} is no single encoder of text")


class TextPreprocessor:
    """Clean text, then tokens.

    Args:
        tokenizer: One of :data:`TOKENIZERS`.
    """

    modality = "text"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    @property
    def vocabulary_size(self) -> int:
        """Largest id + 1."""
        return self.tokenizer.vocabulary_size

    def fit(self, samples: Samples) -> None:
        """Learn the tokenizer from the column ``NAME.text``."""
        self.tokenizer.fit(clean(text) for text in cells(samples, "text") if text is not None)

    def state(self) -> dict[str, Any]:
        return {"modality": self.modality, "tokenizer": self.tokenizer.name, **self.tokenizer.state()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        rest = {name: value for name, value in state.items() if name not in ("modality", "tokenizer")}
        return cls(TOKENIZERS[state["tokenizer"]].from_state(rest))

    def canonical(self, value: str) -> np.ndarray:
        """Token ids, int32 (T,) with T >= 1.

        Raises:
            DataError: If the text holds a lone surrogate.
        """
        try:
            text = whole(value)
        except NotUnicodeError as error:
            raise DataError(str(error)) from error
        return np.array(self.tokenizer.encode(clean(text)), dtype=np.int32)

    def collate(self, rows: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """``ids``: int64 (B, T), zeros after the end; ``mask``: bool (B, T), true for tokens."""
        lengths = np.array([len(row) for row in rows])
        mask = np.arange(lengths.max()) < lengths[:, None]  # (B, T)
        ids = np.zeros(mask.shape, np.int64)
        ids[mask] = np.concatenate(rows)
        return {"ids": torch.from_numpy(ids), "mask": torch.from_numpy(mask)}


def clean(text: str) -> str:
    """Unicode NFC without control characters; line breaks and tabs become spaces, lone surrogates ``?``."""
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    if text.isprintable():
        return text
    letters = (" " if letter.isspace() else letter for letter in text)
    return "".join(letter for letter in letters if unicodedata.category(letter) != "Cc")
