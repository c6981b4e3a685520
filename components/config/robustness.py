"""How much of the robustness curves is drawn."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from components.config.section import Section

CorruptionName = Literal[
    "gaussian_blur",
    "gaussian_noise",
    "jpeg",
    "occlusion",
    "white_noise",
    "clipping",
    "dropout",
    "typos",
    "word_dropout",
    "number_noise",
    "missing_cells",
]


class RobustnessConfig(Section):
    """What the delivered model is worth on damaged and on missing inputs."""

    rows: int = Field(200, ge=0, description="Most test rows that are used; 0 draws no curves.")
    severities: list[Literal[1, 2, 3, 4, 5]] = Field(
        [1, 3, 5], description="How heavy the damage is; undamaged rows are scored too."
    )
    corruptions: list[CorruptionName] | None = Field(
        None, description="Kinds of damage, each for inputs of its modality; null takes all."
    )
    missing_rates: list[float] = Field(
        [0.25, 0.5, 0.75, 0.9],
        description="Chances, above 0 and at most 1, with which an input of a row is hidden.",
    )

    @field_validator("severities", "missing_rates")
    @classmethod
    def _in_order(cls, values: list[float]) -> list[float]:
        return sorted(set(values))

    @field_validator("missing_rates")
    @classmethod
    def _are_chances(cls, rates: list[float]) -> list[float]:
        if any(not 0 < rate <= 1 for rate in rates):
            raise ValueError(f"{rates}: rates are above 0 and at most 1 (rate 0 is always scored)")
        return rates
