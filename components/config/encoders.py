"""Options of every encoder; the networks are in components/models/encoders."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from components.config.section import Section, heads_divide_width

_TOKENS = (
    "Give a sequence of vectors (cells of the map, states, columns, frames), which fusions that attend "
    "(cross_attention, bottleneck, perceiver, transformer) look into; others average it."
)


class CNNConfig(Section):
    """Plain convolutional network: conv-norm-relu-pool blocks, then a projection."""

    name: Literal["cnn"] = Field("cnn", description="Convolutional network from scratch.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the embedding.")
    channels: list[int] = Field([32, 64, 128], min_length=1, description="Channels of each block.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout before the projection.")
    tokens: bool = Field(False, description=_TOKENS)


class ResNetConfig(Section):
    """Residual network (He et al. 2016) sized for small images."""

    name: Literal["resnet"] = Field("resnet", description="Residual network from scratch.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the embedding.")
    channels: list[int] = Field([32, 64, 128], min_length=1, description="Channels of each stage.")
    blocks: int = Field(1, ge=1, le=1_000, description="Residual blocks in each stage.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout before the projection.")
    tokens: bool = Field(False, description=_TOKENS)


class UntrainedConfig(Section):
    """Features of which nothing is trained; a head is fitted to them."""

    name: str
    kernel: int = Field(
        1000,
        ge=0,
        le=8192,
        description="Landmarks of a Gaussian kernel, which are training rows: the linear head becomes a "
        "kernel machine. 0 gives it the features as they are.",
    )


class HogConfig(UntrainedConfig):
    """Histograms of oriented gradients (Dalal & Triggs 2005) and colours, in a kernel."""

    name: Literal["hog"] = Field("hog", description="Histograms of gradients and colours.")


class MfccConfig(UntrainedConfig):
    """Statistics of log-mel bands and cepstral coefficients, in a kernel."""

    name: Literal["mfcc"] = Field("mfcc", description="Statistics of log-mel and cepstrum.")


class GRUConfig(Section):
    """Recurrent text encoder over subword tokens learned from the training text."""

    name: Literal["gru"] = Field("gru", description="Gated recurrent network from scratch.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the embedding.")
    embedding: int = Field(96, ge=1, le=65_536, description="Length of a token's vector.")
    layers: int = Field(1, ge=1, le=1_000, description="Recurrent layers.")
    bidirectional: bool = Field(True, description="Read the text in both directions.")
    vocabulary: int = Field(8000, ge=16, le=10_000_000, description="Largest number of tokens.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on token vectors and before the projection.")
    tokens: bool = Field(False, description=_TOKENS)


class NgramsConfig(Section):
    """Hashed word and character n-grams in an embedding bag (fastText, Joulin et al. 2017)."""

    name: Literal["ngrams"] = Field("ngrams", description="Bag of hashed n-grams from scratch.")
    width: int = Field(64, ge=1, le=65_536, description="Length of the embedding.")
    buckets: int = Field(2**14, ge=16, le=268_435_456, description="Rows of the hashed embedding table.")
    words: int = Field(2, ge=0, description="Longest word n-gram; 0 uses none.")
    characters: tuple[int, int] = Field(
        (3, 5),
        description="Shortest and longest character n-gram within a word; 0, 0 uses none. Scripts without "
        "spaces between words, such as Chinese and Thai, always take 1 to 3 signs.",
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="Share of a text's n-grams that training drops.")


class FittedConfig(Section):
    """Encoder that is fitted without gradient: it has no epochs and cannot be trained jointly."""

    name: str


class TfidfConfig(FittedConfig):
    """TF-IDF of hashed word and character n-grams with a linear model."""

    name: Literal["tfidf"] = Field("tfidf", description="TF-IDF of n-grams with a linear model.")
    buckets: int = Field(2**18, ge=16, le=268_435_456, description="Hashed n-grams that are told apart.")
    words: int = Field(2, ge=0, description="Longest word n-gram; 0 uses none.")
    characters: tuple[int, int] = Field(
        (3, 5), description="Shortest and longest character n-gram within a word; 0, 0 uses none."
    )
    components: int = Field(
        64,
        ge=0,
        le=4_096,
        description="Most numbers of the latent semantic analysis, which fusion gets beside the predictions.",
    )


class TextTransformerConfig(Section):
    """Small transformer over subword tokens learned from the training text."""

    name: Literal["text_transformer"] = Field("text_transformer", description="Transformer from scratch.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the embedding.")
    layers: int = Field(2, ge=1, le=1_000, description="Transformer blocks.")
    heads: int = Field(4, ge=1, le=1_024, description="Attention heads; must divide width.")
    vocabulary: int = Field(8000, ge=16, le=10_000_000, description="Largest number of tokens.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout in every block.")
    tokens: bool = Field(False, description=_TOKENS)

    _heads = model_validator(mode="after")(heads_divide_width)


class AudioCNNConfig(Section):
    """Convolutional network on the log-mel spectrogram."""

    name: Literal["audio_cnn"] = Field(
        "audio_cnn", description="Convolutional network on log-mel from scratch."
    )
    width: int = Field(128, ge=1, le=65_536, description="Length of the embedding.")
    channels: list[int] = Field([32, 64, 128], min_length=1, description="Channels of each block.")
    mels: int = Field(40, ge=8, le=1_024, description="Mel bands.")
    window: float = Field(0.025, gt=0, description="Length of the analysis window in seconds.")
    hop: float = Field(0.016, gt=0, description="Step between windows in seconds.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout before the projection.")
    tokens: bool = Field(False, description=_TOKENS)


class MLPConfig(Section):
    """Feed-forward network over numeric values and category embeddings."""

    name: Literal["mlp"] = Field("mlp", description="Feed-forward network from scratch.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the embedding.")
    hidden: list[int] = Field([256], description="Units of each hidden layer.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout after each hidden layer.")


class TreesConfig(FittedConfig):
    """Gradient-boosted trees (LightGBM, Ke et al. 2017)."""

    name: Literal["trees"] = Field("trees", description="Gradient-boosted trees.")
    rounds: int = Field(1000, ge=1, le=100_000, description="Most rounds; validation stops earlier.")
    learning_rate: float = Field(0.05, gt=0, le=1, description="Shrinkage of each round.")
    columns: int = Field(
        32, ge=0, le=4_096, description="Most numbers that fusion gets beside the predictions."
    )


class LinearConfig(FittedConfig):
    """Ridge or logistic regression on splines of numbers and one-hot categories."""

    name: Literal["linear"] = Field("linear", description="Ridge or logistic regression with splines.")
    components: int = Field(
        16, ge=0, le=4_096, description="Most reduced features, which fusion gets beside the predictions."
    )


class FTTransformerConfig(Section):
    """Feature-tokenizer transformer (Gorishniy et al. 2021)."""

    name: Literal["ft_transformer"] = Field(
        "ft_transformer", description="Transformer over columns from scratch."
    )
    width: int = Field(64, ge=1, le=65_536, description="Length of the embedding.")
    layers: int = Field(2, ge=1, le=1_000, description="Transformer blocks.")
    heads: int = Field(4, ge=1, le=1_024, description="Attention heads; must divide width.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in every block.")
    tokens: bool = Field(False, description=_TOKENS)

    _heads = model_validator(mode="after")(heads_divide_width)


class PretrainedConfig(Section):
    """Any image, text or audio model of the transformers library."""

    name: Literal["pretrained"] = Field("pretrained", description="Model of the transformers library.")
    model: str = Field(
        description="Hub id (org/name), local folder with config.json and safetensors weights, or "
        "package:NAME/FOLDER for a folder of an installed Python package."
    )
    revision: str | None = Field(None, description="Branch, tag or commit of a hub model.")
    pooling: Literal["cls", "mean", "layers", "tokens"] = Field(
        "mean",
        description="First token, masked mean over tokens, the means of up to three layers side by side (at "
        "two thirds, at nine tenths, the last), or the whole sequence of tokens.",
    )
    tune: Literal["frozen", "full", "lora"] = Field(
        "frozen",
        description="frozen keeps the weights, full fine-tunes all of them, lora trains LoRA adapters.",
    )
    lora_rank: int = Field(8, ge=1, le=65_536, description="Rank of the LoRA matrices (tune: lora).")
    lora_alpha: float = Field(16, gt=0, description="Scale of the LoRA update (tune: lora).")
    kernel: int = Field(
        0,
        ge=0,
        le=8192,
        description="Landmarks of a Gaussian kernel over the embedding (tune: frozen), which are training "
        "rows: the linear head becomes a kernel machine. 0 is without.",
    )

    @model_validator(mode="after")
    def _a_kernel_is_over_vectors_that_stay(self) -> Self:
        if self.kernel and (self.tune != "frozen" or self.pooling == "tokens"):
            raise ValueError("kernel: it is over vectors of a frozen model. Take tune: frozen, not tokens")
        return self


class AutoConfig(Section):
    """Encoders chosen from the modality, the number of rows and the device."""

    name: Literal["auto"] = Field(
        "auto", description="Those that suit the number of rows and the device; `braid check` names them."
    )


class CombinedConfig(Section):
    """Several encoders of one input, each fitted on its own, combined by weights learned out of fold."""

    name: Literal["combined"] = Field("combined", description="Several encoders; a list is short for it.")
    encoders: list[Any] = Field(min_length=2, description="Encoders to combine.")

    @field_validator("encoders", mode="before")
    @classmethod
    def _a_name_is_a_section(cls, value: Any) -> Any:
        return [as_section(each) for each in value] if isinstance(value, list) else value

    @field_validator("encoders")
    @classmethod
    def _encoders_differ(cls, encoders: list[Any]) -> list[Any]:
        repeated = next((each for each in encoders if encoders.count(each) > 1), None)
        if repeated is not None:
            raise ValueError(f"{repeated.name} stands twice with the same options; give each one others")
        return encoders


def as_section(value: Any) -> Any:
    """Turn the short forms of an encoder into its section: a name, or a list of encoders."""
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, list):
        return as_section(value[0]) if len(value) == 1 else {"name": "combined", "encoders": value}
    return value


ImageLearner = Annotated[CNNConfig | ResNetConfig | HogConfig | PretrainedConfig, Field(discriminator="name")]
TextLearner = Annotated[
    NgramsConfig | TfidfConfig | GRUConfig | TextTransformerConfig | PretrainedConfig,
    Field(discriminator="name"),
]
AudioLearner = Annotated[AudioCNNConfig | MfccConfig | PretrainedConfig, Field(discriminator="name")]
TabularLearner = Annotated[
    MLPConfig | FTTransformerConfig | TreesConfig | LinearConfig, Field(discriminator="name")
]


class CombinedImage(CombinedConfig):
    """Several encoders of images."""

    encoders: list[ImageLearner] = Field(min_length=2, description="Encoders to combine.")


class CombinedText(CombinedConfig):
    """Several encoders of text."""

    encoders: list[TextLearner] = Field(min_length=2, description="Encoders to combine.")


class CombinedAudio(CombinedConfig):
    """Several encoders of audio."""

    encoders: list[AudioLearner] = Field(min_length=2, description="Encoders to combine.")


class CombinedTable(CombinedConfig):
    """Several encoders of a table."""

    encoders: list[TabularLearner] = Field(min_length=2, description="Encoders to combine.")


AnyCombined = CombinedImage | CombinedText | CombinedAudio | CombinedTable
COMBINED: dict[str, type[AnyCombined]] = {
    "image": CombinedImage,
    "text": CombinedText,
    "audio": CombinedAudio,
    "tabular": CombinedTable,
}
ImageEncoder = Annotated[ImageLearner | CombinedImage | AutoConfig, Field(discriminator="name")]
TextEncoder = Annotated[TextLearner | CombinedText | AutoConfig, Field(discriminator="name")]
AudioEncoder = Annotated[AudioLearner | CombinedAudio | AutoConfig, Field(discriminator="name")]
TabularEncoder = Annotated[TabularLearner | CombinedTable | AutoConfig, Field(discriminator="name")]
EncoderConfig = (
    CNNConfig
    | ResNetConfig
    | HogConfig
    | GRUConfig
    | NgramsConfig
    | TfidfConfig
    | TextTransformerConfig
    | AudioCNNConfig
    | MfccConfig
    | MLPConfig
    | FTTransformerConfig
    | TreesConfig
    | LinearConfig
    | PretrainedConfig
)


class CompositeConfig(Section):
    """A combination as it is delivered: the encoders that have a weight, and what their heads predict."""

    name: Literal["composite"] = Field("composite", description="Several encoders with their heads.")
    encoders: list[EncoderConfig] = Field(description="Encoders in their order.")
    targets: list[dict[str, Any]] = Field(description="JSON of the targets.")


AnyEncoderConfig = EncoderConfig | AnyCombined | AutoConfig | CompositeConfig
