"""What trainings minimise."""

from components.objectives.objective import Objective
from components.objectives.supervised import Supervised

__all__ = ["Objective", "Supervised"]
