"""Builds encoders again from references, and says what their features depend on."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

from torch import Tensor, nn

from components.config.encoders import EncoderConfig
from components.models.encoders import Encoder, build_encoder
from components.models.encoders.several import Several
from components.preprocess import Preprocessor, load_preprocessor
from components.references import EncoderWeights, Prepared
from components.storage.digest import code_digest, digest, digest_tensors
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


def encoder_digest(encoder: nn.Module) -> str:
    """Digest of weights and of the code that uses them."""
    return digest(digest_tensors(encoder.state_dict()), encoder_code(encoder))


def encoder_code(encoder: nn.Module) -> str:
    """Digest of the module that an encoder's class stands in, and of the one it wraps."""
    module = inspect.getmodule(type(encoder))
    assert module is not None
    if isinstance(encoder, Several):
        return digest(code_digest(module), encoder_code(encoder.each))
    return code_digest(module)


def read_tensors(path: Path, prefix: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file whose names begin with ``prefix``, which is taken off."""
    return {
        name.removeprefix(prefix): value
        for name, value in load_tensors(path).items()
        if name.startswith(prefix)
    }
