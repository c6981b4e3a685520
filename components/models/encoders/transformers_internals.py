"""Private names of transformers: braid uses them in this file alone.

Written for transformers 5 (``transformers>=5.0`` in pyproject.toml). Each entry says what lets it go.
"""

from typing import Any

from torch import Tensor, nn
from transformers.models.whisper.modeling_whisper import WhisperEncoder


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


def fit_window(network: nn.Module, extract: Any, samples: int) -> None:
    """Shorten the window of a Whisper encoder, 30 s, to the longest audio that it will be given.

    Its positions are sinusoids, so those of a shorter window are their beginning; the rest would be computed
    on padding. Goes when transformers takes windows of any length.

    Args:
        network: Encoder; changed in place. Others than Whisper's stay as they are.
        extract: Its feature extractor; changed in place.
        samples: Length of the longest audio.
    """
    if not isinstance(network, WhisperEncoder):
        return
    step = extract.hop_length * network.conv1.stride[0] * network.conv2.stride[0]  # samples of a position
    positions = min(network.max_source_positions, -(-samples // step))
    network.max_source_positions = network.config.max_source_positions = positions
    weight = network.embed_positions.weight[:positions].detach().clone()
    network.embed_positions = nn.Embedding(positions, weight.shape[1], _weight=weight)
    extract.n_samples = positions * step
