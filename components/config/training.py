"""Options of training, for encoders, fusion and joint training alike."""

from typing import Literal

from pydantic import Field, field_validator

from components.config.durations import is_long
from components.config.section import Section


class LoopConfig(Section):
    """Options of the training loop: AdamW with warm-up, schedule, clipping, averaging, early stopping."""

    epochs: int = Field(30, ge=1, le=1_000_000, description="Most epochs.")
    batch_size: int = Field(64, ge=1, le=1_000_000, description="Rows per step.")
    learning_rate: float = Field(1e-3, gt=0, description="Highest learning rate.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay; 0 makes AdamW plain Adam.")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="Schedule of the learning rate after the warm-up."
    )
    warmup: float = Field(
        0.1, ge=0, lt=1, description="Share of all steps in which the learning rate rises from 0."
    )
    clip_norm: float | None = Field(
        1.0, gt=0, description="Largest norm of the gradient; null does not clip."
    )
    patience: int | None = Field(
        10,
        ge=1,
        description="Epochs without a better validation metric before training stops; null never stops.",
    )
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of the moving average of weights used for validation and delivery; 0 is off.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="Number format of the forward pass; auto is bf16 on a GPU that supports it, and in "
        "extraction with a pretrained model on a CPU with matrix units (AMX); else fp32.",
    )


class TrainingConfig(LoopConfig):
    """Options of the training loop, and weights of the targets."""

    class_weights: Literal["none", "balanced"] = Field(
        "none", description="Weigh rows by the inverse frequency of their class."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of the target spread over all classes."
    )


class FusionTrainingConfig(TrainingConfig):
    """Options of the training loop, and the way in which the fusion gets rows that no encoder has seen."""

    folds: int | None = Field(
        None,
        ge=0,
        le=20,
        description="Cross-fitting: encoders are also fitted without one fold of the training rows each, and "
        "fusion, choice and calibration learn from what these give for the fold they have not seen. 0 is "
        "without: they learn from validation rows, and trained fusions from rows that encoders leave "
        "out. null decides by the number of rows.",
    )

    refit: Literal["all", "none"] = Field(
        "all",
        description="Validation rows given back. all: once everything is chosen, each learner and the "
        "trained fusion are fitted once more, to training and validation rows together, with the epochs, "
        "rounds and strengths that were chosen. none: they stay as they are. Runs without folds, with joint "
        "training or with alignment stay so too, as validation rows calibrate or stop there. Pretrained "
        "encoders that are fine-tuned and students of a distillation stay too.",
    )

    half_life: str | None = Field(
        None,
        description="Period after which a training row counts half as much as the newest one, such as 90d "
        "(data.time): in the fits of encoders and heads, in the fusion and in joint training. null: all "
        "rows count alike.",
    )

    @field_validator("half_life")
    @classmethod
    def _is_a_period(cls, half_life: str | None) -> str | None:
        return half_life and is_long(half_life)

    @field_validator("folds")
    @classmethod
    def _one_fold_leaves_nothing(cls, folds: int | None) -> int | None:
        if folds == 1:
            raise ValueError("one fold would leave no rows to fit encoders to; take 0, or 2 or more")
        return folds
