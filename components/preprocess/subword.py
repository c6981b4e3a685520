"""Subword tokens: learned from the training text, or those of a pretrained model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, trainers

from components.errors import ModelError
from components.pretrained import describe_pretrained

_FILES = frozenset({"tokenizer.json", "vocab.txt", "vocab.json"})
_PADDING, _UNKNOWN = "<pad>", "<unk>"  # ids 0 and 1


class SubwordTokenizer:
    """Byte-pair encoding (Sennrich et al. 2016, "Neural machine translation of rare words with subword
    units").

    Words start with ``▁``; letters that the training text lacks become one unknown token each.

    Args:
        vocabulary: Most tokens.
        max_tokens: Further tokens are cut.
        lowercase: Ignore case.
        learned: JSON of the fitted tokenizer; None before :meth:`fit`.
    """

    name = "subword"

    def __init__(self, vocabulary: int, max_tokens: int, lowercase: bool, learned: str | None = None) -> None:
        self.vocabulary = vocabulary
        self.max_tokens = max_tokens
        self.lowercase = lowercase
        self._tokenizer = tokenizers.Tokenizer.from_str(learned) if learned is not None else None

    @property
    def vocabulary_size(self) -> int:
        """Largest id + 1."""
        return int(self._fitted().get_vocab_size())

    def fit(self, texts: Iterable[str]) -> None:
        """Learn merges from clean training text."""
        tokenizer = tokenizers.Tokenizer(models.BPE(unk_token=_UNKNOWN))
        if self.lowercase:
            tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(prepend_scheme="first"), pre_tokenizers.Punctuation("contiguous")]
        )
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocabulary,
            limit_alphabet=self.vocabulary // 2,
            min_frequency=2,
            special_tokens=[_PADDING, _UNKNOWN],
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        self._tokenizer = tokenizer

    def state(self) -> dict[str, Any]:
        return {
            "vocabulary": self.vocabulary,
            "max_tokens": self.max_tokens,
            "lowercase": self.lowercase,
            "learned": self._tokenizer.to_str() if self._tokenizer is not None else None,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(**state)

    def encode(self, text: str) -> list[int]:
        """Ids of 1 and more; a text without any token is one unknown token."""
        return list(self._fitted().encode(text).ids[: self.max_tokens]) or [1]

    def _fitted(self) -> tokenizers.Tokenizer:
        if self._tokenizer is None:
            raise RuntimeError("the tokenizer has learned nothing yet: call fit with training rows first")
        return self._tokenizer


class PretrainedTokenizer:
    """The tokenizer of a pretrained model, with its special tokens.

    Args:
        model: Hub id or folder it came from.
        revision: Branch, tag or commit of a hub model.
        max_tokens: Longest result, special tokens included.
        learned: JSON of the tokenizer, so that neither hub nor folder is needed again.
    """

    name = "pretrained"

    def __init__(self, model: str, revision: str | None, max_tokens: int, learned: str) -> None:
        self.model = model
        self.revision = revision
        self.max_tokens = max_tokens
        self._learned = learned
        self._tokenizer = tokenizers.Tokenizer.from_str(learned)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    @classmethod
    def from_model(cls, model: str, revision: str | None, max_tokens: int) -> Self:
        """Open the tokenizer of a model.

        Raises:
            ModelError: If the model cannot be found, has no tokenizer, or one that the `tokenizers`
                library does not run.
        """
        from transformers import AutoTokenizer  # takes seconds: see components/pretrained.py

        facts = describe_pretrained(model, revision)
        if not any(file.name in _FILES or file.suffix == ".model" for file in Path(facts.path).iterdir()):
            raise ModelError(  # transformers would make one up, without a vocabulary
                f"encoder.model: {model!r} has no tokenizer ({', '.join(sorted(_FILES))} or *.model). "
                "A text input needs a model for text."
            )
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                facts.path, trust_remote_code=False, local_files_only=True
            )
            learned = tokenizer.backend_tokenizer.to_str()
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ModelError(
                f"encoder.model: {model!r} has no tokenizer that can be used ({str(error).splitlines()[0]}). "
                "Expected tokenizer.json, or files that transformers turns into a fast tokenizer."
            ) from error
        return cls(model, revision, min(max_tokens, facts.max_tokens or max_tokens), learned)

    @property
    def vocabulary_size(self) -> int:
        """Largest id + 1."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    def fit(self, texts: Iterable[str]) -> None:
        """Nothing is learned."""

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "revision": self.revision,
            "max_tokens": self.max_tokens,
            "learned": self._learned,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(**state)

    def encode(self, text: str) -> list[int]:
        """Ids with special tokens; a text without any token, of a tokenizer without special ones, is id 0."""
        return list(self._tokenizer.encode(text).ids) or [0]
