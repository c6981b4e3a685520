"""What every fusion does with embeddings before it fuses them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def hide_absent(
    embeddings: Mapping[str, Tensor], present: Tensor, inputs: tuple[str, ...]
) -> dict[str, Tensor]:
    """Replace what absent inputs hold by zeros, whatever it was (NaN included).

    Args:
        embeddings: (B, D) or (B, T, D) for each input.
        present: (B, M) bool; column i says whether ``inputs[i]`` is there.
        inputs: The M names in the order of ``present``.

    Example:
        >>> present = torch.tensor([[True], [False]])
        >>> hide_absent({"image": torch.ones(2, 3)}, present, ("image",))["image"]
        tensor([[1., 1., 1.],
                [0., 0., 0.]])
    """
    hidden = {}
    for column, name in enumerate(inputs):
        value = embeddings[name]
        there = present[:, column].reshape(-1, *[1] * (value.dim() - 1))
        hidden[name] = torch.where(there, value, torch.zeros((), dtype=value.dtype, device=value.device))
    return hidden


def token_mask(tokens: Tensor) -> Tensor:
    """Which tokens of (B, T, D) are real: padding is a vector of zeros. (B, T) bool."""
    return tokens.ne(0).any(-1)


def as_vector(embedding: Tensor) -> Tensor:
    """Average (B, T, D) over its real tokens, which are not all zeros; (B, D) stays unchanged.

    Example:
        >>> as_vector(torch.tensor([[[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]]))
        tensor([[2., 3.]])
    """
    if embedding.dim() == 2:
        return embedding
    mask = token_mask(embedding).unsqueeze(-1)  # (B, T, 1)
    return (embedding * mask).sum(1) / mask.sum(1).clamp(min=1)


def as_tokens(embedding: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens, and which of them are real.

    Args:
        embedding: (B, D), which is one real token, or (B, T, D), in which padding is zeros.

    Returns:
        (B, T, D) and (B, T) bool. A row without a real token keeps its first, so that whoever
        attends to the row has something to attend to.
    """
    tokens = embedding.unsqueeze(1) if embedding.dim() == 2 else embedding
    real = token_mask(tokens)
    first = torch.arange(tokens.shape[1], device=tokens.device) == 0  # (T,)
    return tokens, real | (first & ~real.any(1, keepdim=True))
