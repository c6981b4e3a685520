"""Section ``evaluation`` of a pipeline file."""

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
    """Curves of the delivered model on damaged and on missing inputs."""

    rows: int = Field(200, ge=0, description="Most test rows that are scored; 0 draws no curves.")
    severities: list[Literal[1, 2, 3, 4, 5]] = Field(
        [1, 3, 5], description="Severities of the damage; undamaged rows are always scored too."
    )
    corruptions: list[CorruptionName] | None = Field(
        None, description="Corruptions, each for inputs of its modality; null takes all."
    )
    missing_rates: list[float] = Field(
        [0.25, 0.5, 0.75, 0.9],
        description="Probabilities, above 0 and at most 1, of hiding an input of a row.",
    )

    @field_validator("severities", "missing_rates")
    @classmethod
    def _in_order(cls, values: list[float]) -> list[float]:
        return sorted(set(values))

    @field_validator("missing_rates")
    @classmethod
    def _are_probabilities(cls, rates: list[float]) -> list[float]:
        if any(not 0 < rate <= 1 for rate in rates):
            raise ValueError(f"{rates}: rates are above 0 and at most 1 (rate 0 is always scored)")
        return rates


class ExplanationsConfig(Section):
    """Importance of the parts of inputs, for some test rows."""

    samples: int = Field(
        3,
        ge=0,
        description="Number of samples with the highest loss that are explained, and of typical correct "
        "ones; "
        "0 explains none.",
    )
    detail: int = Field(
        64,
        ge=16,
        le=4096,
        description="Most parts of an input: 64 are 8 × 8 regions of an image, 16 intervals × 4 bands of "
        "audio, 64 words or columns. Each part costs about one prediction, each column 24.",
    )


class EvaluationConfig(Section):
    """Selection and evaluation of models."""

    bootstrap: int = Field(
        1000,
        ge=100,
        le=1_000_000,
        description="Bootstrap resamples per interval, where there are more than 100 independent rows or "
        "groups.",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of the intervals.")
    coverage: float = Field(
        0.9, gt=0, lt=1, description="Share of rows whose conformal set or interval shall hold the truth."
    )
    worst_samples: int = Field(12, ge=0, description="Samples with the highest loss shown in the report.")
    robustness: RobustnessConfig = Field(
        default_factory=RobustnessConfig, description="Curves on damaged and on missing inputs."
    )
    explanations: ExplanationsConfig = Field(
        default_factory=ExplanationsConfig, description="Importance of the parts of inputs."
    )
