"""Section ``promotion`` of a pipeline file."""

from typing import Literal

from pydantic import Field

from components.config.section import Section


class PromotionConfig(Section):
    """Conditions under which a challenger becomes champion."""

    model: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="Name in the registry; null takes the pipeline's name.",
    )
    metric: str | None = Field(None, description="Metric to compare; null takes that of the target.")
    aim: Literal["superior", "not_worse"] = Field(
        "superior",
        description="What a challenger must show: superior, that it gains more than min_gain; not_worse, "
        "that it loses less than margin, for teams that want fresh models.",
    )
    confidence: float = Field(
        0.95,
        gt=0.5,
        lt=1,
        description="Level of intervals and gates. 1 - confidence is also the chance of any promotion of a "
        "challenger that is no better, over any 52 comparisons of a model name, with aim superior.",
    )
    min_gain: float = Field(
        0.0, ge=0, description="Gain that the paired interval must exceed, with aim superior."
    )
    margin: float = Field(
        0.01,
        gt=0,
        description="Loss in the metric that the paired interval must exclude, with aim not_worse.",
    )
    max_subset_loss: float | None = Field(
        0.05,
        ge=0,
        description="Most that the challenger may lose to the champion on a subset of the inputs, the worst "
        "subset counts. In points of a metric that rises with quality; as relative growth of one that falls. "
        "With too few rows to decide, only a loss that is shown counts. null skips the check.",
    )
    max_calibration_loss: float | None = Field(
        0.05,
        ge=0,
        description="Most by which the calibration error on test may grow, in points of probability: of the "
        "top "
        "class, of every label, or of central intervals for numbers. null skips the check.",
    )
    max_robustness_loss: float | None = Field(
        0.05,
        ge=0,
        description="Most that may be lost on damaged and on missing inputs, if evaluation.robustness "
        "measured "
        "both models; in units as for max_subset_loss. null skips the check.",
    )
    max_further_loss: float | None = Field(
        0.05,
        ge=0,
        description="Most that may be lost in each of further_targets by its own metric; in units as for "
        "max_subset_loss. null skips the check.",
    )
    max_unknown: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Largest share of test rows with a class that the champion does not know. Both models "
        "are compared on the other rows; above this share nothing is decided and the champion stays.",
    )
    min_rows: int = Field(
        20,
        ge=1,
        description="Fewest test rows on which two models are compared. Rows, groups and contents that one "
        "of them has learned from do not count. With fewer nothing is decided and the champion stays.",
    )
    lost_inputs: Literal["refuse", "allow"] = Field(
        "refuse",
        description="Comparison with a champion that reads columns which the data no longer have: refuse "
        "decides nothing and the champion stays; allow scores it without them.",
    )
    mode: Literal["auto", "dry_run"] = Field(
        "auto",
        description="auto moves the aliases champion and challenger; dry_run only records the decision.",
    )
