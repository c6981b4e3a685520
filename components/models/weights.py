"""Builds encoders again from references, and says what their features depend on."""

import json
from pathlib import Path

from torch import Tensor

from components.config.encoders import AnyEncoderConfig, CompositeConfig, PretrainedConfig
from components.models.code import encoder_code
from components.models.encoders import Encoder, build_encoder
from components.preprocess import Preprocessor, load_preprocessor
from components.references import EncoderWeights, Prepared
from components.storage.digest import digest, digest_json, digest_tensors
from components.storage.tensors import load_tensors


def open_preprocessor(prepared: Prepared) -> Preprocessor:
    """The preprocessor that made canonical samples."""
    return load_preprocessor(json.loads(Path(prepared.state).read_text("utf-8")))


def open_encoder(weights: EncoderWeights, preprocessor: Preprocessor) -> Encoder:
    """The encoder with its weights, in eval mode."""
    encoder = build_encoder(weights.options, preprocessor)
    if weights.file is not None:
        stored = read_tensors(Path(weights.file), weights.prefix)
        encoder.load_state_dict({**_of_checkpoints(encoder, weights.options), **stored})
    return encoder.eval()


def own_tensors(encoder: Encoder, config: AnyEncoderConfig) -> dict[str, Tensor]:
    """Tensors of an encoder, without those that frozen parts of a composite have from their checkpoints."""
    theirs = _of_checkpoints(encoder, config)
    return {name: value for name, value in encoder.state_dict().items() if name not in theirs}


def _of_checkpoints(encoder: Encoder, config: AnyEncoderConfig) -> dict[str, Tensor]:
    if not isinstance(config, CompositeConfig):
        return {}
    frozen = tuple(
        f"parts.{number}.base." if part.kernel else f"parts.{number}."
        for number, part in enumerate(config.encoders)
        if isinstance(part, PretrainedConfig) and part.tune == "frozen"
    )
    return {name: value for name, value in encoder.state_dict().items() if name.startswith(frozen)}


def encoder_digest(encoder: Encoder, config: AnyEncoderConfig) -> str:
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
