"""What is looked for in the data before its numbers are believed."""

from __future__ import annotations

from pydantic import Field

from components.config.section import Section


class AuditConfig(Section):
    """Whether inputs fit the labels row by row, rows stand in two splits, and columns tell too much.

    Nothing of it reaches the model. It looks at the labels of all rows, those of the test included.
    """

    rows: int = Field(
        5000,
        ge=0,
        description="Most rows that are looked at, evenly spread over the table; 0: no audit. Identical rows "
        "are looked for among all.",
    )
    folds: int = Field(
        5,
        ge=2,
        le=20,
        description="Parts of the rows; the labels of each are voted on by models of the others.",
    )
    level: float = Field(
        0.01, gt=0, lt=0.5, description="Chance of a false alarm for shuffled rows, in each input."
    )
    near_duplicates: bool = Field(
        True, description="Look for pictures and sounds that are nearly the same in train and elsewhere."
    )
    leak: float = Field(
        0.99,
        gt=0.5,
        le=1,
        description="Share of the labels that one column has to tell by itself to be taken for a leak.",
    )
    groups: list[str] | None = Field(
        None,
        description="Columns of the manifest whose values should not stand in two splits; null takes those "
        "called speaker, patient, user, session or the like, [] none.",
    )
