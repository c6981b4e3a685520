"""Builds encoders again from references, and says what their features depend on."""

import json
from pathlib import Path

from torch import Tensor

from components.config import EncoderConfig
from components.models.code import encoder_code
from components.models.encoders import Encoder, build_encoder
from components.preprocess import Preprocessor, load_preprocessor
from components.references import EncoderWeights, Prepared
from components.storage.digest import digest, digest_json, digest_tensors
from components.storage.tensors import load_tensors


def open_preprocessor(prepared: Prepared) -> Preprocessor:
    """The preprocessor that made canonical samples."""
    return load_preprocessor(json.loads(Path(prepared.state).read_text("utf-8")))


def open_encoder(weights: EncoderWeights, config: EncoderConfig, preprocessor: Preprocessor) -> Encoder:
    """The encoder with its weights, in eval mode."""
    encoder = build_encoder(config, preprocessor)
    if weights.file is not None:
        encoder.load_state_dict(read_tensors(Path(weights.file), weights.prefix))
    return encoder.eval()


def encoder_digest(encoder: Encoder, config: EncoderConfig) -> str:
    """Digest of all that an encoder's features depend on: weights, options and code.

    Options count besides weights, since a pooling has none.

    Args:
        encoder: Network with its weights.
        config: Options that it was built from.
    """
    options = digest_json(config.model_dump(mode="json"))
    return digest(digest_tensors(encoder.state_dict()), options, encoder_code(encoder, config))


def read_tensors(path: Path, prefix: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file whose names begin with ``prefix``, which is taken off."""
    return {
        name.removeprefix(prefix): value
        for name, value in load_tensors(path).items()
        if name.startswith(prefix)
    }
