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


class ExplanationsConfig(Section):
    """What is decisive inside the inputs of some test rows."""

    samples: int = Field(
        3,
        ge=0,
        description="Samples with the highest loss that are looked into, and as many typical right ones; "
        "0 looks into none.",
    )
    detail: int = Field(
        64,
        ge=16,
        le=4096,
        description="Most parts of an input: 64 are 8 × 8 regions of a picture, 16 stretches of time × 4 "
        "bands of a sound, 64 words or columns. The model is asked about once for each part, for columns 24 "
        "times.",
    )


class EvaluationConfig(Section):
    """How models are chosen and judged."""

    bootstrap: int = Field(1000, ge=100, description="Resamples behind each interval.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of the intervals.")
    coverage: float = Field(
        0.9, gt=0, lt=1, description="How often conformal sets and intervals shall hold the truth."
    )
    worst_samples: int = Field(12, ge=0, description="Samples with the highest loss shown in the report.")
    robustness: RobustnessConfig = Field(
        default_factory=RobustnessConfig, description="Curves under damaged and missing inputs."
    )
    explanations: ExplanationsConfig = Field(
        default_factory=ExplanationsConfig, description="What is decisive inside the inputs of some samples."
    )
