"""Options of the rule of promotion."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.config.section import Section


class PromotionConfig(Section):
    """When the registered model becomes champion."""

    model: str | None = Field(None, description="Name in the registry; null takes the pipeline's name.")
    metric: str | None = Field(None, description="Metric compared; null takes that of the target.")
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="Level of the paired test by which a challenger must win."
    )
    min_gain: float = Field(0.0, ge=0, description="Gain that the paired interval must exceed.")
    max_subset_loss: float | None = Field(
        0.05,
        ge=0,
        description="Most that the challenger may lose to the champion when it is given only some of the "
        "inputs, in the subset where it loses most. Points of a metric that rises with quality, the share of "
        "growth of one that falls. null does not look.",
    )
    max_calibration_loss: float | None = Field(
        0.05,
        ge=0,
        description="Most by which the calibration error on test may grow, in points of probability. Of "
        "classes: top class; of labels: every label; of numbers: central intervals. null does not look.",
    )
    max_robustness_loss: float | None = Field(
        0.05,
        ge=0,
        description="Most that may be lost under damage and under missing inputs, where "
        "evaluation.robustness measured both models; in units as for max_subset_loss. null does not look.",
    )
    max_further_loss: float | None = Field(
        0.05,
        ge=0,
        description="Most that may be lost in each of further_targets by its own metric; in units as for "
        "max_subset_loss. null does not look.",
    )
    mode: Literal["auto", "dry_run"] = Field(
        "auto",
        description="auto moves the aliases champion and challenger; dry_run decides and records, and moves "
        "none.",
    )
