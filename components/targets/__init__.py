"""Targets: a class, an ordered class, several labels, or a number; one of them or several."""

from components.targets.classification import Classification
from components.targets.collection import PREFIX, AnyTarget, Targets, cells_of, known_rows
from components.targets.head import Head
from components.targets.metrics import higher_is_better, metric, rank
from components.targets.multilabel import Multilabel, split_labels
from components.targets.ordinal import Ordinal
from components.targets.regression import Regression
from components.targets.target import FloatArray, Target

__all__ = [
    "PREFIX",
    "AnyTarget",
    "Classification",
    "FloatArray",
    "Head",
    "Multilabel",
    "Ordinal",
    "Regression",
    "Target",
    "Targets",
    "cells_of",
    "higher_is_better",
    "known_rows",
    "metric",
    "rank",
    "split_labels",
]
