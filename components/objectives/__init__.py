"""Objectives that trainings minimise."""

from collections.abc import Callable
from typing import Any

from components.config.alignment import (
    AlignmentObjective,
    ClipConfig,
    DCCAConfig,
    PositiveConfig,
    SigLipConfig,
)
from components.objectives.auxiliary import Auxiliary
from components.objectives.contrastive import Clip, SigLip
from components.objectives.correlation import DCCA
from components.objectives.distillation import Distillation
from components.objectives.objective import Objective
from components.objectives.pairwise import Pairwise
from components.objectives.positive import Positive
from components.objectives.supervised import Supervised
from components.targets import Targets

__all__ = [
    "ALIGNMENTS",
    "Auxiliary",
    "Distillation",
    "Objective",
    "Pairwise",
    "Supervised",
    "build_alignment",
]


def _clip(config: ClipConfig, target: str) -> Clip:
    return Clip(config.temperature, target if config.positives == "class" else None)


def _siglip(config: SigLipConfig, target: str) -> SigLip:
    return SigLip(config.temperature, config.bias, target if config.positives == "class" else None)


def _positive(config: PositiveConfig, target: str) -> Positive:
    return Positive(config.invariance, config.variance, config.covariance)


def _dcca(config: DCCAConfig, target: str) -> DCCA:
    return DCCA(config.regularisation)


ALIGNMENTS: dict[str, Callable[[Any, str], Pairwise]] = {
    "clip": _clip,
    "siglip": _siglip,
    "positive": _positive,
    "dcca": _dcca,
}


def build_alignment(config: AlignmentObjective, targets: Targets) -> Pairwise:
    """Build the objective across modalities; its classes are those of the primary target."""
    return ALIGNMENTS[config.name](config, targets.primary.name)
