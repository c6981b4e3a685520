"""Section ``alignment`` of a pipeline file; the losses are in components/objectives."""

from typing import Annotated, Literal

from pydantic import Field

from components.config.section import Section
from components.config.training import LoopConfig


class ClipConfig(Section):
    """Symmetric InfoNCE with a learned temperature (van den Oord et al. 2018; Radford et al. 2021)."""

    name: Literal["clip"] = Field("clip", description="InfoNCE in both directions.")
    positives: Literal["pair", "class"] = Field(
        "pair",
        description="Positive pairs: the inputs of one row, or of all rows of one class (SupCon, "
        "Khosla et al. 2020; a classification or ordinal target).",
    )
    temperature: float = Field(0.07, gt=0, le=1, description="Initial temperature; it is learned.")


class SigLipConfig(Section):
    """Sigmoid loss of every pair, with learned temperature and bias (Zhai et al. 2023)."""

    name: Literal["siglip"] = Field("siglip", description="Sigmoid of every pair.")
    positives: Literal["pair", "class"] = Field(
        "pair", description="Positive pairs: the inputs of one row, or of all rows of one class."
    )
    temperature: float = Field(0.1, gt=0, le=1, description="Initial temperature; it is learned.")
    bias: float = Field(-10.0, description="Initial bias of the logits; it is learned.")


class PositiveConfig(Section):
    """Positive pairs without negatives: variance, invariance, covariance, VICReg (Bardes et al. 2022)."""

    name: Literal["positive"] = Field("positive", description="Positive pairs only (VICReg).")
    invariance: float = Field(25.0, gt=0, description="Weight of the distance between paired rows.")
    variance: float = Field(
        25.0, ge=0, description="Weight of the penalty for a dimension's deviation below 1."
    )
    covariance: float = Field(1.0, ge=0, description="Weight of decorrelating the dimensions.")


class DCCAConfig(Section):
    """Deep canonical correlation analysis (Andrew et al. 2013). A batch needs more rows than ``width``."""

    name: Literal["dcca"] = Field("dcca", description="Total canonical correlation.")
    regularisation: float = Field(
        1e-3, gt=0, description="Value added to the diagonal of each input's covariance."
    )


AlignmentObjective = Annotated[
    ClipConfig | SigLipConfig | PositiveConfig | DCCAConfig, Field(discriminator="name")
]


class AlignmentTraining(LoopConfig):
    """Training of projections, and of the encoders that are trained with them."""

    batch_size: int = Field(
        256, ge=2, le=1_000_000, description="Rows per step; each is compared with all others of the step."
    )


class AlignmentConfig(Section):
    """Shared space of all inputs, in which related contents are near: for search across modalities."""

    use: Literal["features", "auxiliary", "pretraining"] = Field(
        "features",
        description="Parts that the objective trains. features: only the projections for search; auxiliary: "
        "also "
        "the encoders while they are trained with the fusion (strategy joint, or joint_epochs); pretraining: "
        "also encoders from scratch, before each is fitted.",
    )
    objective: AlignmentObjective = Field(default_factory=ClipConfig, description="Objective to minimise.")
    width: int = Field(64, ge=2, le=65_536, description="Dimensions of the shared space.")
    hidden: int = Field(
        128, ge=0, description="Units of the hidden layer of each projection; 0 makes it linear."
    )
    weight: float = Field(
        0.1, gt=0, description="Weight of the objective beside the supervised loss (use: auxiliary)."
    )
    training: AlignmentTraining = Field(
        default_factory=AlignmentTraining,
        description="Training of the projections on cached features, and with the encoders before the fits "
        "(use: pretraining).",
    )
    gallery: int = Field(
        10_000,
        ge=1,
        description="Most training rows that the model carries for search, drawn at random.",
    )
