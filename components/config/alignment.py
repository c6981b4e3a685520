"""Options of learning across modalities. The losses are in components/objectives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.config.section import Section
from components.config.training import LoopConfig


class ClipConfig(Section):
    """Symmetric InfoNCE with a learned temperature (van den Oord et al. 2018; Radford et al. 2021)."""

    name: Literal["clip"] = Field("clip", description="InfoNCE in both directions.")
    positives: Literal["pair", "class"] = Field(
        "pair",
        description="What belongs together: the inputs of one row, or of all rows of one class (SupCon, "
        "Khosla et al. 2020; a classification or ordinal target).",
    )
    temperature: float = Field(0.07, gt=0, le=1, description="Temperature at the start; it is learned.")


class SigLipConfig(Section):
    """A sigmoid loss of every pair by itself, temperature and bias learned (Zhai et al. 2023)."""

    name: Literal["siglip"] = Field("siglip", description="Sigmoid of every pair.")
    positives: Literal["pair", "class"] = Field(
        "pair", description="What belongs together: the inputs of one row, or of all rows of one class."
    )
    temperature: float = Field(0.1, gt=0, le=1, description="Temperature at the start; it is learned.")
    bias: float = Field(-10.0, description="Bias of the logits at the start; it is learned.")


class PositiveConfig(Section):
    """Pairs alone, no negatives: variance, invariance, covariance, VICReg (Bardes et al. 2022)."""

    name: Literal["positive"] = Field("positive", description="Positive pairs alone (VICReg).")
    invariance: float = Field(25.0, gt=0, description="Weight of the distance between paired rows.")
    variance: float = Field(25.0, ge=0, description="Weight of keeping each dimension's deviation above 1.")
    covariance: float = Field(1.0, ge=0, description="Weight of decorrelating the dimensions.")


class DCCAConfig(Section):
    """Deep canonical correlation analysis (Andrew et al. 2013). A batch needs more rows than ``width``."""

    name: Literal["dcca"] = Field("dcca", description="Total canonical correlation.")
    regularisation: float = Field(1e-3, gt=0, description="Added to the diagonal of each input's covariance.")


AlignmentObjective = Annotated[
    ClipConfig | SigLipConfig | PositiveConfig | DCCAConfig, Field(discriminator="name")
]


class AlignmentTraining(LoopConfig):
    """Training of projections, and of the encoders that are trained with them."""

    batch_size: int = Field(256, ge=2, description="Rows in a step; each is compared with all others of it.")


class AlignmentConfig(Section):
    """One space for all inputs, so that what is near in it belongs together: search across modalities."""

    use: Literal["features", "auxiliary", "pretraining"] = Field(
        "features",
        description="Where the objective acts, besides on the projections that search goes by: nowhere "
        "else; on the encoders while they are trained with the fusion (strategy joint, or joint_epochs); or "
        "on encoders from scratch before each is fitted.",
    )
    objective: AlignmentObjective = Field(default_factory=ClipConfig, description="What is minimised.")
    width: int = Field(64, ge=2, description="Dimensions of the shared space.")
    hidden: int = Field(
        128, ge=0, description="Units of the hidden layer of each projection; 0 makes it linear."
    )
    weight: float = Field(
        0.1, gt=0, description="Of the objective beside the supervised loss (use: auxiliary)."
    )
    training: AlignmentTraining = Field(
        default_factory=AlignmentTraining,
        description="Training of the projections on cached features, and with the encoders before the fits "
        "(use: pretraining).",
    )
    gallery: int = Field(
        10_000,
        ge=1,
        description="Most training rows that the model carries to be searched; a sample.",
    )
