"""Interface of every fusion: a network from the embeddings of the present inputs to one vector."""

from collections.abc import Mapping

from torch import Tensor, nn


class Fusion(nn.Module):
    """The interface of every fusion.

    Contract: what an absent input holds cannot change the result; in eval mode no row changes another
    row's result; a batch of one works in train mode too.

    Attributes:
        inputs: Names in the order of the columns of ``present``: sorted, so that the order in the
            configuration does not matter.
        width: Length of the fused vector.
        decides: True if the fused vector holds natural parameters itself, so that no head follows.
    """

    inputs: tuple[str, ...]
    width: int
    decides: bool = False

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Fuse the embeddings, (B, D_m) or (B, T_m, D_m) each, of the present inputs into (B, width).

        Args:
            embeddings: Embedding of each input.
            present: (B, M) bool, columns in the order of :attr:`inputs`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward")
