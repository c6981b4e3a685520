"""Options of inputs: columns of one modality, preprocessing, augmentation and encoder."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from components.config.encoders import (
    AnyEncoderConfig,
    AudioEncoder,
    AutoConfig,
    CombinedConfig,
    FittedConfig,
    ImageEncoder,
    TabularEncoder,
    TextEncoder,
    UntrainedConfig,
    as_section,
)
from components.config.section import Section
from components.config.training import TrainingConfig


class ImageAugment(Section):
    """Random changes of training images; 0 or false turns a change off."""

    crop: float = Field(0.0, ge=0, lt=1, description="Largest share of each side that is cut or shifted out.")
    zoom: float = Field(0.0, ge=0, lt=1, description="Largest relative change of scale.")
    rotate: float = Field(0.0, ge=0, le=180, description="Largest rotation in degrees.")
    flip: bool = Field(False, description="Mirror left and right with probability 1/2.")
    colour: float = Field(
        0.0, ge=0, lt=1, description="Largest relative change of brightness, contrast and saturation."
    )
    erase: float = Field(
        0.0, ge=0, lt=1, description="Largest share of the area that is blanked (random erasing)."
    )


class TextAugment(Section):
    """Random changes of training text."""

    token_dropout: float = Field(0.0, ge=0, lt=1, description="Share of tokens that are dropped.")


class AudioAugment(Section):
    """Random changes of training audio."""

    shift: float = Field(0.0, ge=0, lt=1, description="Largest shift in time as a share of the clip.")
    gain: float = Field(0.0, ge=0, description="Largest change of loudness in dB.")
    noise: float = Field(0.0, ge=0, description="Largest level of white noise relative to the clip's RMS.")
    speed: float = Field(0.0, ge=0, lt=1, description="Largest relative change of speed.")
    time_mask: float = Field(
        0.0, ge=0, lt=1, description="Largest share of time blanked (SpecAugment, Park et al. 2019)."
    )
    frequency_mask: float = Field(
        0.0, ge=0, lt=1, description="Largest share of frequencies blanked (SpecAugment)."
    )


class TabularAugment(Section):
    """Random changes of training rows."""

    noise: float = Field(0.0, ge=0, description="Standard deviation of noise added to scaled numbers.")
    drop: float = Field(0.0, ge=0, lt=1, description="Share of cells blanked as missing.")


class _Input(Section):
    columns: list[str] = Field(min_length=1, description="Column or columns of the manifest.")
    required: bool = Field(False, description="Quarantine rows in which this input is missing.")
    fit: TrainingConfig = Field(
        default_factory=TrainingConfig, description="Training of this input's encoder on its own."
    )

    @model_validator(mode="after")
    def _a_fit_without_gradient_takes_rows_and_labels_as_they_are(self) -> Self:
        encoder, augment = getattr(self, "encoder", None), getattr(self, "augment", None)
        if isinstance(encoder, FittedConfig | UntrainedConfig):
            if augment is not None and augment != type(augment)():
                raise ValueError(f"augment: encoder {encoder.name} sees each row once, unchanged; remove it")
            if self.fit.label_smoothing:
                raise ValueError(f"fit.label_smoothing: encoder {encoder.name} has none; remove it")
        return self

    @field_validator("columns", mode="before")
    @classmethod
    def _one_column_needs_no_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("encoder", mode="before", check_fields=False)
    @classmethod
    def _an_encoder_has_short_forms(cls, value: Any) -> Any:
        return as_section(value)

    @property
    def encoders(self) -> list[Any]:
        """Sections of the encoders that are named; empty for ``auto``, which names none."""
        encoder = getattr(self, "encoder")  # noqa: B009  (each modality has its own)
        if isinstance(encoder, AutoConfig):
            return []
        return list(encoder.encoders) if isinstance(encoder, CombinedConfig) else [encoder]

    @property
    def may_have_several(self) -> bool:
        """True if more than one encoder may be fitted to this input."""
        return len(self.encoders) != 1

    def with_encoder(self, encoder: AnyEncoderConfig) -> Self:
        """Take one encoder in the place of those of the file."""
        return self.model_copy(update={"encoder": encoder})


class _MediaInput(_Input):
    columns: list[str] = Field(
        min_length=1,
        description="Column of the manifest, or several for views of one object; any may be missing.",
    )
    pooling: Literal["mean", "attention"] = Field(
        "mean",
        description="Pooling of the embeddings of several columns; the fit learns attention.",
    )

    @model_validator(mode="after")
    def _attention_is_learned_of_several(self) -> Self:
        if self.pooling == "attention":
            if len(self.columns) == 1:
                raise ValueError("pooling: attention is for several columns; here is one")
            untrained = (
                isinstance(each, UntrainedConfig) or getattr(each, "tune", "full") == "frozen"
                for each in self.encoders
            )
            if any(untrained):
                raise ValueError("pooling: attention is learned, but the encoder is not trained; take mean")
        return self


class ImageInput(_MediaInput):
    """Images: JPEG, PNG, WebP, AVIF, GIF (first frame), TIFF, BMP or JPEG 2000."""

    modality: Literal["image"] = Field("image", description="Images.")
    size: int | None = Field(
        None,
        ge=8,
        le=4096,
        description="Side in pixels of the square image for the encoder; "
        "null takes the pretrained model's own size, else 64.",
    )
    fit_mode: Literal["crop", "pad", "stretch"] = Field(
        "pad", description="Way to a square image: centre crop, white border, or stretch."
    )
    bits: int | None = Field(
        None,
        ge=1,
        le=16,
        description="Bits per value of images that are stored in 16 or 32 bits and do not tell how many they "
        "use; null learns them from the largest value of the training rows.",
    )
    augment: ImageAugment = Field(default_factory=ImageAugment, description="Random changes in training.")
    encoder: ImageEncoder = Field(
        default_factory=AutoConfig, description="Encoder of this input; a list of several, or auto."
    )


class TextInput(_Input):
    """Text; line breaks join several columns."""

    modality: Literal["text"] = Field("text", description="Text.")
    max_tokens: int = Field(
        128, ge=1, le=1_000_000, description="Longest sequence of tokens; the rest is cut."
    )
    lowercase: bool = Field(
        True, description="Ignore case (encoders from scratch; a pretrained tokenizer decides itself)."
    )
    augment: TextAugment = Field(default_factory=TextAugment, description="Random changes in training.")
    encoder: TextEncoder = Field(
        default_factory=AutoConfig, description="Encoder of this input; a list of several, or auto."
    )


class AudioInput(_MediaInput):
    """Audio in any format that libsndfile reads (WAV, FLAC, OGG, MP3, AIFF, ...)."""

    modality: Literal["audio"] = Field("audio", description="Audio.")
    rate: int | None = Field(
        None,
        ge=1000,
        le=192000,
        description="Sampling rate in Hz for the encoder; null takes the "
        "pretrained model's own rate, else 16000.",
    )
    seconds: float = Field(2.0, gt=0, description="Longest clip in seconds.")
    keep: Literal["start", "middle", "end", "loudest"] = Field(
        "middle", description="Part of a longer clip that is used."
    )
    trim_silence: bool = Field(False, description="Cut silence (40 dB below the peak) at both ends.")
    normalise: bool = Field(True, description="Bring every clip to the same RMS level.")
    silent: Literal["keep", "missing", "quarantine"] = Field(
        "keep",
        description="Treatment of a clip that is silent throughout: use it, or treat it as missing or bad.",
    )
    augment: AudioAugment = Field(default_factory=AudioAugment, description="Random changes in training.")
    encoder: AudioEncoder = Field(
        default_factory=AutoConfig, description="Encoder of this input; a list of several, or auto."
    )


class TabularInput(_Input):
    """Numbers, categories, booleans and dates."""

    modality: Literal["tabular"] = Field("tabular", description="Columns of a table.")
    types: dict[str, Literal["numeric", "categorical", "boolean", "datetime"]] = Field(
        default_factory=dict,
        description="Types of columns for which the guess from the training rows is wrong.",
    )
    max_categories: int = Field(
        100, ge=1, description="Number of most frequent categories per column; others are 'unseen'."
    )
    augment: TabularAugment = Field(default_factory=TabularAugment, description="Random changes in training.")
    encoder: TabularEncoder = Field(
        default_factory=AutoConfig, description="Encoder of this input; a list of several, or auto."
    )


InputConfig = Annotated[ImageInput | TextInput | AudioInput | TabularInput, Field(discriminator="modality")]
