"""Comparison of two models of which one does not know all classes.

A row of a class that the champion never saw says nothing of how well it does its task. Both are compared on
the rows of classes that it knows; of several labels per row, on the labels that it knows. What is left out is
bounded by ``promotion.max_unknown``, as a comparison on a small rest decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from components.data.parts import Parts
from components.data.spelling import Spelling
from components.promotion.verdict import Check
from components.targets import AnyTarget, Multilabel, Regression
from components.targets.target import FloatArray

_SHOWN = 5  # classes


@dataclass(frozen=True)
class Common:
    """A target as far as both models know it.

    Attributes:
        target: The target; of several labels per row without those that the champion does not know.
        values: (N,) or (N, L), what the target encodes.
        rows: (N,) bool, marks the rows on which both are compared.
        unknown: Classes of the test rows that the champion does not know.
        share: Share of the rows with the target that have such a class.
        parts: (N,) number of the independent part of each row; None if every row is its own.
    """

    target: AnyTarget
    values: FloatArray
    rows: NDArray[np.bool_]
    unknown: tuple[str, ...]
    share: float
    parts: Parts | None = None

    @property
    def note(self) -> str:
        """The unknown classes and the number of rows that are left."""
        more = f", ... {len(self.unknown) - _SHOWN} more" if len(self.unknown) > _SHOWN else ""
        names = ", ".join(repr(name) for name in self.unknown[:_SHOWN])
        return f"the champion does not know {names}{more}; {self.rows.sum()} rows are compared"

    def check(self, bound: float) -> Check:
        """Return the clause that bounds the share of rows with unknown classes."""
        return Check("unknown classes", self.share, bound, self.share <= bound, self.note)


def common(
    target: AnyTarget, cells: Sequence[str | None], champion: AnyTarget, parts: Parts | None = None
) -> Common:
    """Reduce a target to what the champion can know of it.

    Args:
        target: Target of the challenger.
        cells: (N,) its cells of the test rows.
        champion: The champion's target of that name, with its classes in the challenger's spelling.
        parts: (N,) number of the independent part of each row; None if every row is its own.
    """
    values = target.encode(cells)
    rows = target.known(values)
    if isinstance(target, Regression) or isinstance(champion, Regression):
        return Common(target, values, rows, (), 0.0, parts)
    classes = np.array(target.classes, object)  # (C,)
    is_known = np.isin(classes, champion.classes)  # (C,)
    if isinstance(target, Multilabel):
        has = (values > 0.5) & rows[:, None]  # (N, C)
    else:
        has = (values[:, None] == np.arange(len(classes))) & rows[:, None]  # (N, C)
    affected = has[:, ~is_known].any(1)  # (N,)
    unknown = tuple(classes[~is_known & has.any(0)].tolist())
    share = float(affected.sum() / max(rows.sum(), 1))
    if not isinstance(target, Multilabel):
        return Common(target, values, rows & ~affected, unknown, share, parts)
    if not is_known.all():
        target = replace(target, classes=tuple(classes[is_known].tolist()))
        values = target.encode(cells)
    return Common(target, values, rows if is_known.any() else rows & False, unknown, share, parts)


def spelled_as(target: AnyTarget, spelling: Spelling) -> AnyTarget:
    """Return a target with its classes in another model's spelling, such as ``true`` for ``1``."""
    if isinstance(target, Regression):
        return target
    names = spelling.names(target.classes)
    return target if names is None else replace(target, classes=names)
