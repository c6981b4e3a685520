"""Interface of every encoder: a network from the batch of one input to embeddings."""

from typing import Protocol

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """Network from one input's batch to one vector per row, or to a sequence of vectors per row.

    Contract: padding in a batch does not change a row's result; in eval mode no row changes another row's
    result; a batch of one works in train mode too; everything random follows torch's generator.

    Attributes:
        width: length D of an embedding.
        tokens: False: `forward` gives (B, D). True: it gives (B, T, D), and padded tokens are zero vectors.
    """

    width: int
    tokens: bool

    def __init__(self, width: int, tokens: bool = False) -> None:
        super().__init__()
        self.width = width
        self.tokens = tokens

    @property
    def quantities(self) -> tuple[int, ...]:
        """Positions in the embedding that hold a quantity of the row each, and no direction among many."""
        return ()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Embed a batch of B rows.

        Args:
            batch: tensors that the input's preprocessor collates:
                image `pixels` uint8 (B, 3, H, W);
                text `ids` int64 (B, T) and `mask` bool (B, T), True where there is a token;
                audio `wave` float32 (B, S) in [-1, 1] and `length` int64 (B,) in samples;
                tabular `values` float32 (B, 2n + c): n numbers, n missing flags, c category codes.

        Returns:
            float (B, D), or (B, T, D) when `tokens` is true.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward")


class ImageFacts(Protocol):
    """Facts of the preprocessor that an image network needs."""

    size: int


class TextFacts(Protocol):
    """Facts of the preprocessor that a text network needs."""

    vocabulary_size: int


class AudioFacts(Protocol):
    """Facts of the preprocessor that an audio network needs."""

    rate: int
    samples: int


class TabularFacts(Protocol):
    """Facts of the preprocessor that a network for tables needs."""

    numeric: int
    cardinalities: list[int]


def without_padding(x: Tensor, mask: Tensor) -> Tensor:
    """Give tokens (B, T, D) with zero vectors where mask bool (B, T) is False."""
    return x.masked_fill(~mask.unsqueeze(-1), 0)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the valid tokens of each row: (B, T, D) and bool (B, T) give (B, D); no token gives zeros.

    Example:
        >>> x = torch.tensor([[[2.0], [4.0], [9.0]]])
        >>> masked_mean(x, torch.tensor([[True, True, False]]))
        tensor([[3.]])
    """
    weight = mask.to(x.dtype).unsqueeze(-1)  # (B, T, 1)
    return (x * weight).sum(1) / weight.sum(1).clamp(min=1)


def masked_max(x: Tensor, mask: Tensor) -> Tensor:
    """Maximum over the valid tokens of each row: (B, T, D) and bool (B, T) give (B, D)."""
    return x.masked_fill(~mask.unsqueeze(-1), torch.finfo(x.dtype).min).amax(1)
