"""Options of every fusion; the modules are in components/models/fusion."""

from importlib.metadata import entry_points
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from components.config.section import Section, heads_divide_width
from components.errors import nearest


class ModalityDropout(Section):
    """Dropout of whole inputs in training, at random per sample; at least one input stays."""

    rate: float = Field(0.2, ge=0, lt=1, description="Probability of hiding each input of a sample.")
    start: float = Field(0.0, ge=0, lt=1, description="Probability in the first epoch.")
    ramp: float = Field(0.25, ge=0, le=1, description="Share of the epochs over which start rises to rate.")


class _Fusion(Section):
    by_gradient: ClassVar[bool] = True  # False: fitted in one pass, without epochs
    modality_dropout: ModalityDropout = Field(
        default_factory=ModalityDropout, description="Dropout of whole inputs in training."
    )


class ConcatConfig(_Fusion):
    """Concatenated embeddings through an MLP; a learned vector replaces absent ones."""

    name: Literal["concat"] = Field("concat", description="Concatenation.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the fused vector.")
    layers: int = Field(1, ge=0, le=1_000, description="Hidden layers; 0 is the plain concatenation.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on the fused vector.")


class LateConfig(_Fusion):
    """Calibrated logits of each input, pooled with learned weights."""

    by_gradient: ClassVar[bool] = False
    name: Literal["late"] = Field("late", description="Late fusion of logits.")


class GatedConfig(_Fusion):
    """Gated multimodal unit (Arevalo et al. 2017)."""

    name: Literal["gated"] = Field("gated", description="Gated multimodal unit.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the fused vector.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on the fused vector.")


class TransformerConfig(_Fusion):
    """Transformer over one or more tokens per input, with a learned token for a missing input."""

    name: Literal["transformer"] = Field("transformer", description="Transformer over tokens of all inputs.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the fused vector.")
    layers: int = Field(2, ge=1, le=1_000, description="Transformer blocks.")
    heads: int = Field(4, ge=1, le=1_024, description="Attention heads; must divide width.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout in every block.")

    _heads = model_validator(mode="after")(heads_divide_width)


class SumConfig(_Fusion):
    """Sum or mean of the projected present inputs (Zaheer et al. 2017)."""

    name: Literal["sum"] = Field("sum", description="Sum or mean of the inputs.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the fused vector.")
    reduction: Literal["sum", "mean"] = Field("sum", description="Pooling of the present inputs.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on the fused vector.")


class TensorConfig(_Fusion):
    """Tensor fusion network: outer product of all inputs (Zadeh et al. 2017). For two to four inputs."""

    name: Literal["tensor"] = Field("tensor", description="Tensor fusion network.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the fused vector.")
    factor_width: int = Field(
        12,
        ge=1,
        description="Features of each input in the product, which has (factor_width + 1)^inputs entries.",
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on the product and on the fused vector.")


class LowRankConfig(_Fusion):
    """Low-rank multimodal fusion (Liu et al. 2018)."""

    name: Literal["low_rank"] = Field("low_rank", description="Low-rank tensor fusion.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the fused vector.")
    rank: int = Field(4, ge=1, le=65_536, description="Rank of the weight tensor.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on the fused vector.")


class MultiplicativeConfig(_Fusion):
    """Multiplicative interactions: a bilinear form of each pair of inputs (Jayakumar et al. 2020)."""

    name: Literal["multiplicative"] = Field("multiplicative", description="Bilinear forms of pairs.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the fused vector.")
    factor_width: int = Field(
        24, ge=1, le=65_536, description="Features of each input in the bilinear forms."
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on the fused vector.")


class FiLMConfig(_Fusion):
    """Feature-wise linear modulation of each input by the others (Perez et al. 2018)."""

    name: Literal["film"] = Field("film", description="Modulation of each input by the others.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the fused vector.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on the fused vector.")


class ProductOfExpertsConfig(_Fusion):
    """Gaussian product of experts with a unit Gaussian prior (Hinton 2002; Wu and Goodman 2018)."""

    name: Literal["product_of_experts"] = Field("product_of_experts", description="Product of experts.")
    width: int = Field(128, ge=1, le=65_536, description="Length of the fused vector.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on the fused vector.")


class CrossAttentionConfig(_Fusion):
    """Cross-modal attention in both directions, MulT (Tsai et al. 2019)."""

    name: Literal["cross_attention"] = Field("cross_attention", description="Each input reads every other.")
    width: int = Field(
        64, ge=1, le=65_536, description="Length of tokens; the fused vector has this length per input."
    )
    layers: int = Field(
        1, ge=1, le=1_000, description="Layers of each cross-modal and each self-attention stack."
    )
    heads: int = Field(4, ge=1, le=1_024, description="Attention heads; must divide width.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout in every block.")

    _heads = model_validator(mode="after")(heads_divide_width)


class BottleneckConfig(_Fusion):
    """Transformers that exchange information through a few shared tokens, MBT (Nagrani et al. 2021)."""

    name: Literal["bottleneck"] = Field("bottleneck", description="Attention bottlenecks.")
    width: int = Field(64, ge=1, le=65_536, description="Length of tokens and of the fused vector.")
    layers: int = Field(
        2,
        ge=2,
        description="Layers of each input; each reads the bottleneck tokens that the previous one wrote.",
    )
    bottlenecks: int = Field(4, ge=1, le=65_536, description="Bottleneck tokens.")
    heads: int = Field(4, ge=1, le=1_024, description="Attention heads; must divide width.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout in every block.")

    _heads = model_validator(mode="after")(heads_divide_width)


class PerceiverConfig(_Fusion):
    """Learned latents that read the tokens of all inputs (Jaegle et al. 2021)."""

    name: Literal["perceiver"] = Field("perceiver", description="Perceiver latents.")
    width: int = Field(64, ge=1, le=65_536, description="Length of latents and of the fused vector.")
    layers: int = Field(2, ge=1, le=1_000, description="Pairs of cross-attention and self-attention.")
    latents: int = Field(8, ge=1, le=65_536, description="Number of latents.")
    heads: int = Field(4, ge=1, le=1_024, description="Attention heads; must divide width.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout in every block.")

    _heads = model_validator(mode="after")(heads_divide_width)


class TreeFusionConfig(_Fusion):
    """Boosted trees over predictions and reduced embeddings of the inputs (LightGBM, Ke et al. 2017)."""

    by_gradient: ClassVar[bool] = False
    name: Literal["trees"] = Field("trees", description="Boosted trees over all inputs.")
    rounds: int = Field(1000, ge=1, le=100_000, description="Most rounds; held-out rows stop earlier.")
    learning_rate: float = Field(0.05, gt=0, le=1, description="Shrinkage of each round.")
    components: int = Field(
        32,
        ge=0,
        le=4_096,
        description="Most principal components of an input, 20 training rows for each.",
    )


class PluginConfig(_Fusion):
    """Fusion of another distribution, by its entry point in the group braid.fusions."""

    name: Literal["plugin"] = Field("plugin", description="A fusion of your own.")
    plugin: str = Field(description="Name of the entry point; it must be installed.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the fusion: keyword arguments of the class."
    )

    @field_validator("plugin")
    @classmethod
    def _is_installed(cls, name: str) -> str:
        return must_be_installed(ENTRY_POINTS, name)


MOST_ENTRIES = 2**15  # entries of the tensor product, and so weights per unit of the next layer


def tensor_entries(factor_width: int, inputs: int) -> int:
    """Return the number of entries of the product of tensor fusion.

    Args:
        factor_width: Features of each input.
        inputs: Number of inputs.

    Raises:
        ValueError: If there are more than MOST_ENTRIES.
    """
    entries = (factor_width + 1) ** inputs
    if entries > MOST_ENTRIES:
        fits = int(MOST_ENTRIES ** (1 / inputs) + 1e-9) - 1
        remedy = f"Take at most {fits}, or fusion low_rank" if fits > 0 else "Take fusion low_rank"
        raise ValueError(
            f"fusion.factor_width: {factor_width} makes a product of {factor_width + 1}^{inputs} = {entries} "
            f"numbers for {inputs} inputs; at most {MOST_ENTRIES} can be used. {remedy}"
        )
    return entries


FusionConfig = Annotated[
    ConcatConfig
    | LateConfig
    | GatedConfig
    | TransformerConfig
    | SumConfig
    | TensorConfig
    | LowRankConfig
    | MultiplicativeConfig
    | FiLMConfig
    | ProductOfExpertsConfig
    | CrossAttentionConfig
    | BottleneckConfig
    | PerceiverConfig
    | TreeFusionConfig
    | PluginConfig,
    Field(discriminator="name"),
]


ENTRY_POINTS = "braid.fusions"  # group of the plugins


def must_be_installed(group: str, name: str) -> str:
    """Return ``name`` if an installed distribution has an entry point of that name in the group.

    Raises:
        ValueError: If none has; the message lists the installed names and the nearest spelling.
    """
    known = sorted({entry.name for entry in entry_points(group=group)})
    if name in known:
        return name
    if not known:
        raise ValueError(
            f"{name!r} is not installed, nor is any other: no distribution has entry points in the group "
            f"{group!r}. Install the one that should into this environment"
        )
    raise ValueError(f"{name!r} is not one of those installed: {', '.join(known)}.{nearest(name, known)}")
