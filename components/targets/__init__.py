"""Targets: a class, an ordered class, several labels, or a number; one of them or several."""

from components.targets.classification import Classification
from components.targets.collection import AnyTarget, Targets, cells_of, known_rows
from components.targets.head import Head
from components.targets.multilabel import Multilabel
from components.targets.ordinal import Ordinal
from components.targets.regression import Regression
from components.targets.target import Target

__all__ = [
    "AnyTarget",
    "Classification",
    "Head",
    "Multilabel",
    "Ordinal",
    "Regression",
    "Target",
    "Targets",
    "cells_of",
    "known_rows",
]
