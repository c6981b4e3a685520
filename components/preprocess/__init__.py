"""From one cell to the canonical array that an encoder is given."""

from components.config import AudioInput, ImageInput, InputConfig, PretrainedConfig, TabularInput, TextInput
from components.errors import ModelError
from components.preprocess.audio import AudioPreprocessor
from components.preprocess.composite import PREPROCESSORS, CompositePreprocessor, load_preprocessor, pack
from components.preprocess.image import ImagePreprocessor
from components.preprocess.protocol import Preprocessor
from components.preprocess.several import SeveralPreprocessor
from components.preprocess.tabular import TabularPreprocessor
from components.preprocess.text import TextPreprocessor, build_tokenizer
from components.pretrained import PretrainedFacts, describe_pretrained
from components.storage.closure import code_digest
from components.storage.digest import digest_json

__all__ = ["PREPROCESSORS", "Preprocessor", "build_preprocessor", "fingerprint", "load_preprocessor"]

DEFAULT_SIZE = 64  # pixels
DEFAULT_RATE = 16000  # Hz


def build_preprocessor(config: InputConfig) -> Preprocessor:
    """Preprocessor of an input, with what its encoder needs: image size, sampling rate or tokenizer.

    Raises:
        ModelError: If a pretrained model cannot be found, or does not take this modality.
    """
    match config:
        case ImageInput():
            facts = _facts(config)
            size = config.size or (facts and facts.image_size) or DEFAULT_SIZE
            return _several(config, ImagePreprocessor(size, config.fit_mode, config.bits))
        case TextInput():
            return TextPreprocessor(build_tokenizer(config.encoder, config.max_tokens, config.lowercase))
        case AudioInput():
            each = AudioPreprocessor(
                rate=_rate(config, _facts(config)),
                seconds=config.seconds,
                keep=config.keep,
                trim_silence=config.trim_silence,
                normalise=config.normalise,
            )
            return _several(config, each)
        case TabularInput():
            return TabularPreprocessor(config.columns, dict(config.types), config.max_categories)


def fingerprint(preprocessor: Preprocessor) -> str:
    """Digest of all that canonical samples depend on besides the cell: settings, what was learned, and code.

    The pooling of several items is not in it: that is the encoder's affair.
    """
    if isinstance(preprocessor, CompositePreprocessor):
        parts = [fingerprint(part) for part in preprocessor.distinct]
        return digest_json([parts, preprocessor.state()["parts"], code_digest(pack)])
    if isinstance(preprocessor, SeveralPreprocessor):
        each = preprocessor.each
        return digest_json([each.state(), code_digest(SeveralPreprocessor, type(each))])
    return digest_json([preprocessor.state(), code_digest(type(preprocessor))])


def _several(config: ImageInput | AudioInput, each: ImagePreprocessor | AudioPreprocessor) -> Preprocessor:
    return SeveralPreprocessor(each, config.pooling) if len(config.columns) > 1 else each


def _facts(config: ImageInput | AudioInput) -> PretrainedFacts | None:
    encoder = config.encoder
    return (
        describe_pretrained(encoder.model, encoder.revision)
        if isinstance(encoder, PretrainedConfig)
        else None
    )


def _rate(config: AudioInput, facts: PretrainedFacts | None) -> int:
    if facts is None:
        return config.rate or DEFAULT_RATE
    if facts.sampling_rate is None:
        raise ModelError(f"encoder.model: {facts.path} is no model for audio: it names no sampling_rate")
    if config.rate not in (None, facts.sampling_rate):
        raise ModelError(
            f"rate: {config.rate} Hz, but the pretrained model in {facts.path} was trained on "
            f"{facts.sampling_rate} Hz. Leave rate out."
        )
    return facts.sampling_rate
