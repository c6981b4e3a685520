"""Encoders: one file each, chosen by a plain dictionary.

A new encoder is one file with an `Encoder`, a section in components/config/encoders.py, a builder here and
an entry in `ENCODERS`.
"""

from collections.abc import Callable
from typing import Any

from components.config.encoders import (
    AnyEncoderConfig,
    AudioCNNConfig,
    CNNConfig,
    CompositeConfig,
    FTTransformerConfig,
    GRUConfig,
    HogConfig,
    LinearConfig,
    MfccConfig,
    MLPConfig,
    NgramsConfig,
    PretrainedConfig,
    ResNetConfig,
    TextTransformerConfig,
    TfidfConfig,
    TreesConfig,
    UntrainedConfig,
)
from components.errors import ModelError
from components.models.encoders.audio_cnn import AudioCNN
from components.models.encoders.cnn import CNN
from components.models.encoders.composite import Composite
from components.models.encoders.ft_transformer import FTTransformer
from components.models.encoders.gru import GRU
from components.models.encoders.hog import Hog
from components.models.encoders.kernel import Kernel
from components.models.encoders.linear import Linear
from components.models.encoders.mfcc import Mfcc
from components.models.encoders.mlp import MLP
from components.models.encoders.ngrams import Ngrams
from components.models.encoders.protocol import AudioFacts, Encoder, ImageFacts, TabularFacts, TextFacts
from components.models.encoders.resnet import ResNet
from components.models.encoders.several import Several
from components.models.encoders.text_transformer import TextTransformer
from components.models.encoders.tfidf import Tfidf
from components.models.encoders.trees import Trees
from components.preprocess.composite import parts_for
from components.preprocess.several import SeveralPreprocessor
from components.targets import Targets

__all__ = ["ENCODERS", "Encoder", "build_encoder", "needs_fit"]


def _cnn(config: CNNConfig, facts: ImageFacts) -> CNN:
    return CNN(config.width, config.channels, facts.size, config.dropout, config.tokens)


def _resnet(config: ResNetConfig, facts: ImageFacts) -> ResNet:
    return ResNet(config.width, config.channels, config.blocks, facts.size, config.dropout, config.tokens)


def _hog(config: HogConfig, facts: ImageFacts) -> Hog:
    return Hog()


def _mfcc(config: MfccConfig, facts: AudioFacts) -> Mfcc:
    return Mfcc(facts.rate)


def _gru(config: GRUConfig, facts: TextFacts) -> GRU:
    return GRU(
        config.width,
        facts.vocabulary_size,
        config.embedding,
        config.layers,
        config.bidirectional,
        config.dropout,
        config.tokens,
    )


def _ngrams(config: NgramsConfig, facts: TextFacts) -> Ngrams:
    return Ngrams(config.width, config.buckets, config.dropout)


def _tfidf(config: TfidfConfig, facts: TextFacts) -> Tfidf:
    return Tfidf(config.buckets, config.components)


def _text_transformer(config: TextTransformerConfig, facts: TextFacts) -> TextTransformer:
    return TextTransformer(
        config.width, facts.vocabulary_size, config.layers, config.heads, config.dropout, config.tokens
    )


def _audio_cnn(config: AudioCNNConfig, facts: AudioFacts) -> AudioCNN:
    return AudioCNN(
        config.width,
        config.channels,
        facts.rate,
        config.mels,
        config.window,
        config.hop,
        config.dropout,
        config.tokens,
    )


def _mlp(config: MLPConfig, facts: TabularFacts) -> MLP:
    return MLP(config.width, facts.numeric, facts.cardinalities, config.hidden, config.dropout)


def _ft_transformer(config: FTTransformerConfig, facts: TabularFacts) -> FTTransformer:
    return FTTransformer(
        config.width,
        facts.numeric,
        facts.cardinalities,
        config.layers,
        config.heads,
        config.dropout,
        config.tokens,
    )


def _trees(config: TreesConfig, facts: TabularFacts) -> Trees:
    return Trees(facts.numeric, facts.cardinalities, config.rounds, config.learning_rate, config.columns)


def _linear(config: LinearConfig, facts: TabularFacts) -> Linear:
    return Linear(facts.numeric, facts.cardinalities, config.components)


def _pretrained(config: PretrainedConfig, facts: Any) -> Encoder:
    # It imports transformers and peft, which takes seconds in each process of a run.
    from components.models.encoders.pretrained import Pretrained

    return Pretrained(
        config.model,
        config.revision,
        facts.modality,
        config.pooling,
        config.tune,
        config.lora_rank,
        config.lora_alpha,
        rate=facts.rate if facts.modality == "audio" else None,
        samples=facts.samples if facts.modality == "audio" else None,
    )


ENCODERS: dict[str, Callable[[Any, Any], Encoder]] = {
    "cnn": _cnn,
    "resnet": _resnet,
    "hog": _hog,
    "gru": _gru,
    "ngrams": _ngrams,
    "tfidf": _tfidf,
    "text_transformer": _text_transformer,
    "audio_cnn": _audio_cnn,
    "mfcc": _mfcc,
    "mlp": _mlp,
    "ft_transformer": _ft_transformer,
    "trees": _trees,
    "linear": _linear,
    "pretrained": _pretrained,
}


def build_encoder(config: AnyEncoderConfig, preprocessor: Any) -> Encoder:
    """Build the network of an input, new (from scratch) or with its pretrained weights.

    Args:
        config: the input's `encoder` section.
        preprocessor: the input's fitted preprocessor; it knows size, rate, vocabulary or columns.

    Raises:
        ModelError: the options do not fit together, or a pretrained model cannot be opened.
    """
    if isinstance(config, CompositeConfig):
        prepared = parts_for(preprocessor, len(config.encoders))
        parts = [build_encoder(*each) for each in zip(config.encoders, prepared, strict=True)]
        return Composite(parts, Targets.from_json(config.targets), shared=preprocessor is prepared[0])
    if isinstance(config, UntrainedConfig | PretrainedConfig) and config.kernel:
        return Kernel(build_encoder(config.model_copy(update={"kernel": 0}), preprocessor), config.kernel)
    if isinstance(preprocessor, SeveralPreprocessor):
        return Several(build_encoder(config, preprocessor.each), preprocessor.pooling)
    try:
        return ENCODERS[config.name](config, preprocessor)
    except ValueError as error:
        raise ModelError(f"encoder {config.name}: {error}") from error


def needs_fit(config: AnyEncoderConfig) -> bool:
    """True if the encoder learns from labels before features are extracted.

    A frozen pretrained one does not, nor do those that are no networks.
    """
    if isinstance(config, PretrainedConfig):
        return config.tune != "frozen"
    return not isinstance(config, UntrainedConfig)
