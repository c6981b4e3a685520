"""Section ``audit`` of a pipeline file."""

from pydantic import Field

from components.config.section import Section


class AuditConfig(Section):
    """Audit of the data: inputs that do not fit the labels, rows in two splits, columns that leak the target.

    The audit reads the labels of all rows, the test included, and nothing of it reaches the model.
    """

    rows: int = Field(
        5000,
        ge=0,
        description="Most rows that are audited, evenly spread over the table; 0 skips the audit. Identical "
        "rows "
        "are searched among all.",
    )
    folds: int = Field(
        5,
        ge=2,
        le=20,
        description="Folds of the rows; models of the other folds vote on the labels of each.",
    )
    level: float = Field(
        0.01, gt=0, lt=0.5, description="Probability of a false alarm for shuffled rows, per input."
    )
    near_duplicates: bool = Field(
        True, description="Search for images and audio that are nearly equal in train and in another split."
    )
    leak: float = Field(
        0.99,
        gt=0.5,
        le=1,
        description="Share of the labels that one column predicts by itself, from which it counts as a leak.",
    )
    groups: list[str] | None = Field(
        None,
        description="Columns of the manifest whose values should each be in one split; null takes those "
        "named "
        "speaker, patient, user, session or the like, [] none.",
    )
