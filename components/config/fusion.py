"""Options of every fusion. The modules themselves are in components/fusion."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from components.config.section import Section, heads_divide_width


class ModalityDropout(Section):
    """Hide present inputs at random while training, a sample at a time; one always stays."""

    rate: float = Field(0.2, ge=0, lt=1, description="Probability of hiding each input of a sample.")
    start: float = Field(0.0, ge=0, lt=1, description="Probability in the first epoch.")
    ramp: float = Field(0.25, ge=0, le=1, description="Share of the epochs over which start rises to rate.")


class _Fusion(Section):
    modality_dropout: ModalityDropout = Field(
        default_factory=ModalityDropout, description="Inputs hidden at training time."
    )


class ConcatConfig(_Fusion):
    """Embeddings side by side, absent ones replaced by a learned vector, through an MLP."""

    name: Literal["concat"] = Field("concat", description="Concatenation.")
    width: int = Field(128, ge=1, description="Length of the fused vector.")
    layers: int = Field(1, ge=0, description="Hidden layers; 0 leaves the plain concatenation.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on the fused vector.")


class LateConfig(_Fusion):
    """Calibrated logits of each input, pooled with learned weights."""

    name: Literal["late"] = Field("late", description="Late fusion of logits.")


class GatedConfig(_Fusion):
    """Gated multimodal unit (Arevalo et al. 2017)."""

    name: Literal["gated"] = Field("gated", description="Gated multimodal unit.")
    width: int = Field(128, ge=1, description="Length of the fused vector.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout on the fused vector.")


class TransformerConfig(_Fusion):
    """Transformer over one or more tokens an input, with a learned missing token."""

    name: Literal["transformer"] = Field("transformer", description="Transformer over tokens of all inputs.")
    width: int = Field(128, ge=1, description="Length of the fused vector.")
    layers: int = Field(2, ge=1, description="Transformer blocks.")
    heads: int = Field(4, ge=1, description="Attention heads; must divide width.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout in every block.")

    _heads = model_validator(mode="after")(heads_divide_width)


FusionConfig = Annotated[
    ConcatConfig | LateConfig | GatedConfig | TransformerConfig, Field(discriminator="name")
]
