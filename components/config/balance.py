"""What is done where a fused model neglects an input."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.config.section import Section


class _Balance(Section):
    warn_below: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Warn where an input, used alone inside the fused model, keeps less than this share of "
        "what it reaches in its own fit.",
    )


class NoCure(_Balance):
    """Watch, and leave the training as it is."""

    cure: Literal["none"] = Field("none", description="No cure.")


class Auxiliary(_Balance):
    """Each input must also do the task alone, inside the fused model."""

    cure: Literal["auxiliary"] = Field("auxiliary", description="A loss for each input.")
    weight: float = Field(0.3, gt=0, description="Of the single inputs' mean loss, beside the joint one.")


class GradientBlending(_Balance):
    """Losses weighed by how well they generalise (Wang, Tran & Feiszli 2020)."""

    cure: Literal["gradient_blending"] = Field("gradient_blending", description="Gradient blending.")
    every: int = Field(3, ge=1, description="Epochs after which the weights are estimated anew.")


class OGMGE(_Balance):
    """Smaller gradients for the input that is ahead, with noise (OGM-GE, Peng et al. 2022)."""

    cure: Literal["ogm_ge"] = Field("ogm_ge", description="On-the-fly gradient modulation.")
    alpha: float = Field(0.3, gt=0, description="Strength of the modulation.")
    noise: bool = Field(True, description="Add Gaussian noise to the gradients (generalisation enhancement).")


class Sequential(_Balance):
    """The weakest inputs learn first; the others join one after the other."""

    cure: Literal["sequential"] = Field("sequential", description="Sequential prioritisation.")
    share: float = Field(0.5, gt=0, lt=1, description="Of the epochs, until all inputs have joined.")


BalanceConfig = Annotated[
    NoCure | Auxiliary | GradientBlending | OGMGE | Sequential, Field(discriminator="cure")
]
