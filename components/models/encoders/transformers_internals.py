"""Private names of transformers: braid uses them in this file alone.

Written for transformers 5 (``transformers>=5.0`` in pyproject.toml). Each entry says what lets it go.
"""

from torch import Tensor, nn


def shortened(network: nn.Module, frames: Tensor) -> Tensor | None:
    """Return how many steps the convolutions of a wav2vec-style network leave of each audio.

    Goes when transformers has a public name for it; the masks that its networks return are not of all.

    Args:
        network: A model of transformers.
        frames: Samples of each audio, int (B,).

    Returns:
        Steps int (B,); None if the network does not know.
    """
    lengths = getattr(network, "_get_feat_extract_output_lengths", None)
    return None if lengths is None else lengths(frames)
