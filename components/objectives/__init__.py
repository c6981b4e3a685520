"""What trainings minimise."""

from components.objectives.distillation import Distillation
from components.objectives.objective import Objective
from components.objectives.supervised import Supervised

__all__ = ["Distillation", "Objective", "Supervised"]
