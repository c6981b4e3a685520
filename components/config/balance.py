"""Section ``balance``: remedies if a fused model neglects an input."""

from typing import Annotated, Literal

from pydantic import Field

from components.config.section import Section


class _Balance(Section):
    warn_below: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Warn if an input, used alone inside the fused model, achieves less than this share of "
        "its "
        "own fit's metric.",
    )


class NoCure(_Balance):
    """Measure the balance, and leave the training unchanged."""

    cure: Literal["none"] = Field("none", description="No cure.")


class Auxiliary(_Balance):
    """Loss of each input alone, inside the fused model, beside the joint loss."""

    cure: Literal["auxiliary"] = Field("auxiliary", description="A loss per input.")
    weight: float = Field(
        0.3, gt=0, description="Weight of the single inputs' mean loss beside the joint loss."
    )


class Pareto(_Balance):
    """A loss per input, whose gradient is kept from fighting that of the joint loss (Wei & Hu 2024)."""

    cure: Literal["mmpareto"] = Field("mmpareto", description="MMPareto.")
    gamma: float = Field(1.5, gt=0, description="Factor of the gradient of each input's own parameters.")


class OGMGE(_Balance):
    """Smaller gradients for the input that is ahead, with noise (OGM-GE, Peng et al. 2022)."""

    cure: Literal["ogm_ge"] = Field("ogm_ge", description="On-the-fly gradient modulation.")
    alpha: float = Field(0.3, gt=0, description="Strength of the modulation.")
    noise: bool = Field(True, description="Add Gaussian noise to the gradients (generalisation enhancement).")


class Sequential(_Balance):
    """Training of the weakest inputs first; the others join one after another."""

    cure: Literal["sequential"] = Field("sequential", description="Sequential prioritisation.")
    share: float = Field(
        0.5, gt=0, lt=1, description="Share of the epochs after which all inputs have joined."
    )


BalanceConfig = Annotated[NoCure | Auxiliary | Pareto | OGMGE | Sequential, Field(discriminator="cure")]
