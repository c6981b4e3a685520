"""Masking of absent inputs and of padding, which every fusion needs before it fuses."""

from collections.abc import Mapping

import torch
from torch import Tensor


def hide_absent(
    embeddings: Mapping[str, Tensor], present: Tensor, inputs: tuple[str, ...]
) -> dict[str, Tensor]:
    """Replace the values of absent inputs by zeros, NaN included.

    Args:
        embeddings: (B, D) or (B, T, D) for each input.
        present: (B, M) bool; column i says if ``inputs[i]`` is present.
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
        known = present[:, column].reshape(-1, *[1] * (value.dim() - 1))  # (B, 1) or (B, 1, 1)
        hidden[name] = torch.where(known, value, torch.zeros((), dtype=value.dtype, device=value.device))
    return hidden


def token_mask(tokens: Tensor) -> Tensor:
    """Mark the real tokens of (B, T, D), since padding is a vector of zeros: (B, T) bool."""
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
    """Give an embedding as tokens, with a mask of the real ones.

    Args:
        embedding: (B, D), which is one real token, or (B, T, D), in which padding is zeros.

    Returns:
        (B, T, D) and (B, T) bool. A row without a real token keeps its first, since
        attention over nothing is not a number.
    """
    tokens = embedding.unsqueeze(1) if embedding.dim() == 2 else embedding
    real = token_mask(tokens)  # (B, T)
    first = torch.arange(tokens.shape[1], device=tokens.device) == 0  # (T,)
    return tokens, real | (first & ~real.any(1, keepdim=True))
