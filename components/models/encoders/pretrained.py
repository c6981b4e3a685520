"""Image, text and audio models of the transformers library as encoders: frozen, fine-tuned or with LoRA."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel, Wav2Vec2FeatureExtractor

from components.errors import ModelError
from components.models.encoders.protocol import Encoder, masked_mean, without_padding
from components.models.encoders.transformers_internals import fit_window, shortened
from components.pretrained import (
    PretrainedFacts,
    describe_pretrained,
    load_feature_extractor,
    load_model,
)

Modality = Literal["image", "text", "audio"]
Pooling = Literal["cls", "mean", "layers", "tokens"]
Tune = Literal["frozen", "full", "lora"]

_TOWERS: dict[str, str] = {"image": "vision_model", "text": "text_model", "audio": "audio_model"}
_LAYERS = (60, 81)  # of 90
# Parameters that an embedding does not depend on: they would be decayed, saved and never trained.
_UNUSED = ("masked_spec_embed", "mask_token")


class Pretrained(Encoder):
    """Transformers model with its own input preparation and a pooling.

    A two-tower model (CLIP, SigLIP, CLAP) gives the tower of the modality, an encoder-decoder (Whisper, T5,
    BART) the encoder.

    Args:
        model: Hub id or local folder.
        revision: Branch, tag or commit of a hub model.
        modality: Modality of the batch.
        pooling: `cls` first token, `mean` over the tokens that are not padding, `tokens` the sequence.
            `layers` are the means of the layers at 2/3, at 9/10 and of the last, side by side: early ones
            are less bound to what the model was trained for. A convolutional network has no first token:
            `cls` and `mean` are both its pooled map.
        tune: `frozen` no parameter is trained and the model stays in eval mode, in inference mode;
            `full` all are trained; `lora` low-rank updates of all linear layers (of the convolutions, where
            there is no linear layer) are (Hu et al. 2021, arXiv:2106.09685).
        lora_rank: Rank of the updates.
        lora_alpha: Their scale is `lora_alpha / lora_rank`.
        rate: Hz of the waves (audio).
        samples: Samples of the longest audio.

    Raises:
        ModelError: If the model or its safetensors weights are missing, or its modality or rate is another.
    """

    def __init__(
        self,
        model: str,
        revision: str | None,
        modality: Modality,
        pooling: Pooling,
        tune: Tune,
        lora_rank: int,
        lora_alpha: float,
        rate: int | None = None,
        samples: int | None = None,
    ) -> None:
        facts = describe_pretrained(model, revision)
        network = _tower(load_model(facts.path), modality)
        prepare = _PREPARE[modality](facts, network, model, rate)
        if samples is not None:
            fit_window(network, prepare.extract, samples)
        super().__init__(_width(network, model), tokens=pooling == "tokens")
        self.pooling, self.frozen = pooling, tune == "frozen"
        self.name = model
        if _leaves_out_pooler(network):
            network.pooler = None  # type: ignore[assignment]
        for name, parameter in network.named_parameters():
            parameter.requires_grad = tune != "frozen" and name.rsplit(".", 1)[-1] not in _UNUSED
        self.prepare, self.modality = prepare, modality
        self.network: nn.Module = _with_lora(network, lora_rank, lora_alpha) if tune == "lora" else network
        if pooling == "layers":
            self.width = self._width_of_layers(facts.image_size or 32, samples or 0)
        self.train(not self.frozen)

    def train(self, mode: bool = True) -> Pretrained:
        """Switch dropout on or off; a frozen model stays in eval mode, and batch normalisation always does.

        Its statistics are of far more rows than a batch of fine-tuning has.
        """
        super().train(mode and not self.frozen)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Embed a batch of the modality to (B, D), or to (B, T, D) with pooling `tokens`."""
        if not self.frozen:
            return self._embed(batch)
        with torch.inference_mode():
            embedding = self._embed(batch)
        return embedding.clone()  # outside inference mode: later layers may save it for their backward pass

    def _width_of_layers(self, side: int, samples: int) -> int:
        """Return the length of the layers' means, which the model's configuration does not tell."""
        batches = {
            "image": {"pixels": torch.zeros(1, 3, side, side, dtype=torch.uint8)},
            "text": {"ids": torch.ones(1, 2, dtype=torch.long), "mask": torch.ones(1, 2, dtype=torch.bool)},
            "audio": {"wave": torch.zeros(1, samples), "length": torch.tensor([samples])},
        }
        self.eval()
        with torch.no_grad():
            return self._embed(batches[self.modality]).shape[1]

    def _layers(self, inputs: dict[str, Tensor], mask: Tensor | None) -> Tensor:
        output = self.network(**inputs, output_hidden_states=True)
        states, last = output.hidden_states, len(output.hidden_states) - 1
        chosen = dict.fromkeys(min(-(-last * share // 90), last - 1) for share in _LAYERS)  # rounded up
        means = [
            x.mean((2, 3)) if x.ndim == 4 else masked_mean(x, _token_mask(self.network, mask, x))
            for x in [*(states[layer] for layer in chosen), output.last_hidden_state]
        ]
        return torch.cat(means, dim=1)

    def _embed(self, batch: dict[str, Tensor]) -> Tensor:
        inputs, mask = self.prepare(batch)
        if self.pooling == "layers":
            return self._layers(inputs, mask)
        output = self.network(**inputs)
        x = output[0] if isinstance(output, tuple) else output.last_hidden_state
        if x.ndim == 4:  # (B, C, H, W): a convolutional network
            if self.pooling == "tokens":
                return x.flatten(2).transpose(1, 2)
            pooled = getattr(output, "pooler_output", None)
            return x.mean((2, 3)) if pooled is None else pooled.flatten(1)
        valid = _token_mask(self.network, mask, x)  # (B, T)
        if self.pooling == "mean":
            return masked_mean(x, valid)
        if self.pooling == "cls":
            return x[:, 0]
        return without_padding(x, valid)


# Arguments of the model for a batch, and a mask over time: bool (B, L), True on data, None without padding.
Prepared = tuple[dict[str, Tensor], Tensor | None]


class PreparePixels(nn.Module):
    """Preparation of uint8 images: divided by 255, minus the model's mean, by its standard deviation."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, facts: PretrainedFacts, network: PreTrainedModel, model: str, rate: int | None
    ) -> None:
        super().__init__()
        _require(network, "pixel_values", model, "images")
        mean, std = facts.image_mean or (0.5,) * 3, facts.image_std or (0.5,) * 3
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.size = facts.image_size
        self.interpolates = "interpolate_pos_encoding" in _arguments(network)

    def forward(self, batch: dict[str, Tensor]) -> Prepared:
        """Prepare pixels: uint8 (B, 3, H, W)."""
        pixels = batch["pixels"]
        inputs: dict[str, Any] = {"pixel_values": (pixels.float() / 255 - self.mean) / self.std}
        if self.interpolates and self.size is not None and pixels.shape[-1] != self.size:
            inputs["interpolate_pos_encoding"] = True
        return inputs, None


class PrepareText(nn.Module):
    """Preparation of token ids: the model's own padding id and an attention mask."""

    def __init__(
        self, facts: PretrainedFacts, network: PreTrainedModel, model: str, rate: int | None
    ) -> None:
        super().__init__()
        _require(network, "input_ids", model, "text")
        self.padding = int(getattr(network.config, "pad_token_id", None) or 0)
        self.limit, self.model = facts.max_tokens, model

    def forward(self, batch: dict[str, Tensor]) -> Prepared:
        """Prepare ids int64 (B, T) with their mask bool (B, T)."""
        ids, mask = batch["ids"], batch["mask"]
        if self.limit is not None and ids.shape[1] > self.limit:
            raise ModelError(
                f"encoder.model: {self.model!r} reads at most {self.limit} tokens, got {ids.shape[1]}. "
                f"Set max_tokens of this input to {self.limit} or less."
            )
        return {"input_ids": ids.masked_fill(~mask, self.padding), "attention_mask": mask.long()}, mask


class PrepareWave(nn.Module):
    """Preparation of waves: raw (wav2vec 2.0 and kin), or through the model's own feature extractor.

    Raw waves stay on their device. A feature extractor (Whisper, AST, CLAP: log-mel) works in numpy.
    """

    def __init__(
        self, facts: PretrainedFacts, network: PreTrainedModel, model: str, rate: int | None
    ) -> None:
        super().__init__()
        _require(network, "input_values", model, "audio", "input_features")
        if facts.sampling_rate is not None and rate != facts.sampling_rate:
            raise ModelError(
                f"encoder.model: {model!r} takes audio of {facts.sampling_rate} Hz, but this input has rate "
                f"{rate}. Leave rate out: it is the model's own then."
            )
        self.extract = load_feature_extractor(facts.path)
        self.raw = isinstance(self.extract, Wav2Vec2FeatureExtractor)
        self.masks = "attention_mask" in _arguments(network)

    def forward(self, batch: dict[str, Tensor]) -> Prepared:
        """Prepare a wave float32 (B, S) in [-1, 1] with its length int64 (B,) in samples."""
        wave, length = batch["wave"].float(), batch["length"]
        if not self.raw:
            return self._extracted(wave, length)
        mask = torch.arange(wave.shape[1], device=wave.device) < length.unsqueeze(1)  # (B, S)
        if self.extract.do_normalize:
            count = length.clamp(min=1).unsqueeze(1)
            wave = (wave - (wave * mask).sum(1, keepdim=True) / count) * mask
            wave = wave / (wave.square().sum(1, keepdim=True) / count + 1e-7).sqrt()
        inputs = {"input_values": wave * mask}
        # Models with group normalisation were trained on plain zero padding, without a mask.
        if self.masks and self.extract.return_attention_mask:
            inputs["attention_mask"] = mask.long()
        return inputs, mask

    def _extracted(self, wave: Tensor, length: Tensor) -> Prepared:
        clips = [w[: max(1, n)].numpy() for w, n in zip(wave.detach().cpu(), length.tolist(), strict=True)]
        features = self.extract(
            clips, sampling_rate=self.extract.sampling_rate, return_tensors="pt", return_attention_mask=True
        )
        mask = features.pop("attention_mask", None)
        inputs = {
            name: value.to(wave.device) for name, value in features.items() if isinstance(value, Tensor)
        }
        mask = mask.to(wave.device) if isinstance(mask, Tensor) else None
        if mask is not None and self.masks:
            inputs["attention_mask"] = mask
        return inputs, None if mask is None else mask.bool()


_PREPARE: dict[str, Callable[[PretrainedFacts, PreTrainedModel, str, int | None], nn.Module]] = {
    "image": PreparePixels,
    "text": PrepareText,
    "audio": PrepareWave,
}


def _tower(model: PreTrainedModel, modality: Modality) -> PreTrainedModel:
    tower = getattr(model, _TOWERS[modality], None)
    if isinstance(tower, PreTrainedModel):
        return tower
    return model.get_encoder() if model.config.is_encoder_decoder else model


def _arguments(network: nn.Module) -> set[str]:
    return set(inspect.signature(network.forward).parameters)


def _require(network: nn.Module, argument: str, model: str, what: str, other: str | None = None) -> None:
    if not {argument, other} & _arguments(network):
        raise ModelError(
            f"encoder.model: {model!r} ({type(network).__name__}) does not take {what}. "
            "Choose a model of this input's modality."
        )


def _width(network: PreTrainedModel, model: str) -> int:
    config = network.config
    names = ("hidden_size", "d_model", "hidden_dim")
    width = next((value for name in names if (value := getattr(config, name, None))), None)
    if width is None and getattr(config, "hidden_sizes", None):
        width = config.hidden_sizes[-1]
    if width is None:
        raise ModelError(
            f"encoder.model: {model!r} ({type(network).__name__}) does not state the width of its output "
            "(config.hidden_size). Choose a model whose AutoModel returns hidden states."
        )
    return int(width)


def _leaves_out_pooler(network: PreTrainedModel) -> bool:
    """Return whether the network has a pooler on the first token, which no pooling here uses."""
    pooler = getattr(network, "pooler", None)
    has_parameters = isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters())
    return has_parameters and getattr(network.config, "hidden_sizes", None) is None


def _with_lora(network: PreTrainedModel, rank: int, alpha: float) -> nn.Module:
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not layers:
        layers = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    options: dict[str, Any] = {"r": rank, "lora_alpha": alpha, "target_modules": layers}
    return get_peft_model(network, LoraConfig(**options))


def _token_mask(network: nn.Module, mask: Tensor | None, x: Tensor) -> Tensor:
    """Make the mask over the output's tokens, bool (B, T), from a mask over its input's time (B, L).

    Wav2vec-style networks can compute how their convolutions shorten time. Others (Whisper) shorten it by a
    whole factor. Without one (AST, whose tokens are patches of a padded image) every token counts.
    """
    batch, tokens = x.shape[:2]
    if mask is None:
        return torch.ones(batch, tokens, dtype=torch.bool, device=x.device)
    if mask.shape[1] == tokens:
        return mask
    frames = mask.sum(1)  # (B,)
    steps = shortened(network, frames) if mask.shape[1] > 4 * tokens else None
    if steps is not None:
        frames = steps
    elif mask.shape[1] % tokens == 0:
        frames = -(-frames // (mask.shape[1] // tokens))
    else:
        return torch.ones(batch, tokens, dtype=torch.bool, device=x.device)
    return torch.arange(tokens, device=x.device) < frames.clamp(min=1, max=tokens).unsqueeze(1)
