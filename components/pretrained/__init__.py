"""Access to transformers checkpoints in a local folder, the local hub cache, or the hub.

Only `config.json`, tokenizer and processor files and safetensors weights are read. No pickle is loaded and no
code of a checkpoint is run.

Functions import transformers themselves: that takes seconds, which a pipeline without pretrained encoders
would pay in each of its processes.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError

from components.errors import ModelError
from components.pretrained.packages import PACKAGE, package_folder, without_gates

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
_NESTED = ["*/*"]  # onnx/, openvino/ and the like repeat the weights in other formats
_HALF = (0.5, 0.5, 0.5)
# RoBERTa and its kin number positions from the padding id + 1.
_POSITIONS_AFTER_PADDING = frozenset(
    ["roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "ibert", "data2vec-text"]
)


@dataclass(frozen=True)
class PretrainedFacts:
    """Facts of a checkpoint that preprocessing needs before any weight is loaded.

    Attributes:
        path: Local folder of the checkpoint.
        model_type: Family by transformers' name (`bert`, `vit`, `wav2vec2`, ...).
        image_size: Side in pixels of the images it expects; None if it takes no images or any size.
        image_mean: Mean of R, G, B in [0, 1] that is subtracted; None if it takes no images.
        image_std: Standard deviation of R, G, B that is divided by; None if it takes no images.
        sampling_rate: Hz of the audio it expects; None if it takes no audio.
        max_tokens: Longest text in tokens, special ones included; None without a limit.
    """

    path: str
    model_type: str
    image_size: int | None
    image_mean: tuple[float, float, float] | None
    image_std: tuple[float, float, float] | None
    sampling_rate: int | None
    max_tokens: int | None


def describe_pretrained(model: str, revision: str | None = None) -> PretrainedFacts:
    """Read the facts of a checkpoint from its configuration files.

    Args:
        model: Hub id (`org/name`) or local folder.
        revision: Branch, tag or commit of a hub model; ignored for a folder.

    Raises:
        ModelError: If the checkpoint does not exist, cannot be fetched, or is unknown to transformers.
    """
    folder = locate(model, revision)
    config = _open_config(folder, model)
    processor = _processor(folder)
    image = processor.get("image_processor", {})
    audio = processor.get("feature_extractor", {})
    takes_images = bool(image) or _deep(config, "vision_config", "image_size") is not None
    normalises = image.get("do_normalize", True)
    return PretrainedFacts(
        path=str(folder),
        model_type=str(config.model_type),
        image_size=_image_size(image, config) if takes_images else None,
        image_mean=_rgb(image.get("image_mean", _HALF) if normalises else 0.0) if takes_images else None,
        image_std=_rgb(image.get("image_std", _HALF) if normalises else 1.0) if takes_images else None,
        sampling_rate=int(audio["sampling_rate"]) if audio.get("sampling_rate") else None,
        max_tokens=_max_tokens(config, folder),
    )


def locate(model: str, revision: str | None = None) -> Path:
    """Return the local folder of a checkpoint; one of the hub is downloaded once into the HF cache.

    ``package:NAME/FOLDER`` is a folder of an installed Python package, for weights from a package index; see
    :mod:`components.pretrained.packages`.

    Raises:
        ModelError: If there is no such folder, package or hub model, no access, or neither network nor cache.
    """
    folder = Path(model).expanduser()
    if model.startswith(PACKAGE):
        folder = package_folder(model.removeprefix(PACKAGE))
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(
                f"encoder.model: folder {model!r} has no config.json. Give the folder that "
                "`save_pretrained` wrote: config.json, *.safetensors and the tokenizer or processor files."
            )
        return folder.resolve()
    if model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model:
        raise ModelError(
            f"encoder.model: there is no folder {model!r} (looked for {folder.absolute()}). "
            "Give a local folder with config.json and safetensors weights, or a hub id such as org/name."
        )
    try:
        snapshot = snapshot_download(model, revision=revision, allow_patterns=_FILES, ignore_patterns=_NESTED)
    except GatedRepoError as error:
        raise ModelError(
            f"encoder.model: {model!r} is gated on the hub. Accept its terms there and log in "
            "(`hf auth login`, or HF_TOKEN), or give a local folder."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(
            f"encoder.revision: the hub model {model!r} has no revision {revision!r}. "
            "Leave it out for the main branch, or give an existing branch, tag or commit."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"encoder.model: {model!r} is neither a folder here nor a model on the hub. "
            "Check the spelling (org/name), log in if it is private (HF_TOKEN), or give a local folder."
        ) from error
    except HFValidationError as error:
        raise ModelError(
            f"encoder.model: {model!r} is neither a folder here (looked for {folder.absolute()}) "
            "nor a valid hub id, which reads org/name."
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        at = f" at revision {revision!r}" if revision else ""
        raise ModelError(
            f"encoder.model: cannot get {model!r}{at}: the hub does not answer (offline, or HF_HUB_OFFLINE "
            "is set) and it is not in the cache. Either give a local folder with config.json and "
            "safetensors weights, or fill the cache on a machine with network "
            f"(`hf download {model}`) and point HF_HOME at it."
        ) from error
    return Path(snapshot)


def load_model(path: str | Path) -> PreTrainedModel:
    """Load a local checkpoint in float32, in eval mode, without network access.

    SpecAugment and layer dropping inside the model are switched off: augmentation belongs to the pipeline
    (components/preprocess/augment.py), which configures and seeds it.

    Raises:
        ModelError: If there are no safetensors weights, or they do not fit the configuration.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    folder = Path(path)
    config = _open_config(folder, str(path))
    for option, off in (("apply_spec_augment", False), ("layerdrop", 0.0), ("encoder_layerdrop", 0.0)):
        if hasattr(config, option):
            setattr(config, option, off)
    if not any(folder.glob("*.safetensors")):
        weights = sorted(p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".h5", ".msgpack"})
        raise ModelError(
            f"encoder.model: {path} has no safetensors weights (found: {', '.join(weights) or 'none'}). "
            "Other formats can run code when opened and are not read; take a revision with "
            "model.safetensors, or convert it with `AutoModel.from_pretrained(...).save_pretrained(folder)`."
        )
    logging.disable_progress_bar()  # one local file needs no bar
    try:
        model: PreTrainedModel = AutoModel.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise ModelError(f"encoder.model: the weights in {path} cannot be opened: {error}") from error
    without_gates(model)
    return model.eval()


def load_feature_extractor(path: str | Path) -> Any:
    """Load the checkpoint's own preparation of audio (waves to the features that its network takes).

    Raises:
        ModelError: If the folder has none, so that the network's features are unknown.
    """
    from transformers import AutoFeatureExtractor

    try:
        return AutoFeatureExtractor.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"encoder.model: {path} has no feature extractor for audio (preprocessor_config.json): {error}"
        ) from error


def _open_config(folder: Path, model: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"encoder.model: {model!r} is not a model that transformers knows without running its own code: "
            f"{error}"
        ) from error


def _processor(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the settings of the image processor and the feature extractor, in either file."""
    parts: dict[str, dict[str, Any]] = {}
    for name in ("preprocessor_config.json", "processor_config.json"):
        file = folder / name
        if not file.is_file():
            continue
        settings = json.loads(file.read_text("utf-8"))
        for part in ("image_processor", "feature_extractor"):
            if isinstance(settings.get(part), dict):
                parts[part] = settings[part]
        if "sampling_rate" in settings:
            parts.setdefault("feature_extractor", settings)
        elif {"image_mean", "image_processor_type", "do_resize", "crop_size"} & settings.keys():
            parts.setdefault("image_processor", settings)
    return parts


def _image_size(image: dict[str, Any], config: Any) -> int | None:
    """Return the side in pixels of the centre crop, else of the resizing, else of the network."""
    for key in ("crop_size", "size"):
        if key == "crop_size" and not image.get("do_center_crop", "crop_size" in image):
            continue
        size = image.get(key)
        if isinstance(size, dict):
            size = size.get("height") or size.get("shortest_edge")
        if size:
            return int(size)
    size = _deep(config, "vision_config", "image_size")
    if isinstance(size, (list, tuple)):
        size = size[0]
    return int(size) if size else None


def _max_tokens(config: Any, folder: Path) -> int | None:
    """Return the smaller of the network's positions and the tokenizer's own limit."""
    limits = []
    positions = _deep(config, "text_config", "max_position_embeddings")
    if isinstance(positions, int) and positions > 0:
        first = int(config.pad_token_id or 0) + 1 if str(config.model_type) in _POSITIONS_AFTER_PADDING else 0
        limits.append(positions - first)
    file = folder / "tokenizer_config.json"
    if file.is_file():
        limit = json.loads(file.read_text("utf-8")).get("model_max_length")
        if isinstance(limit, (int, float)) and math.isfinite(limit) and 0 < limit < 1e9:
            limits.append(int(limit))
    return min(limits) if limits else None


def _deep(config: Any, part: str, name: str) -> Any:
    """Return an option of a configuration, or of one tower of a two-tower model (CLIP, CLAP)."""
    value = getattr(config, name, None)
    return value if value is not None else getattr(getattr(config, part, None), name, None)


def _rgb(value: Any) -> tuple[float, float, float]:
    channels = [float(v) for v in value] if isinstance(value, (list, tuple)) else [float(value)]
    red, green, blue = channels * 3 if len(channels) == 1 else channels[:3]
    return red, green, blue
