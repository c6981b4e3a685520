"""Set-up of a distillation: a teacher's predictions for the rows, and an objective that uses them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from components.config.distill import ObjectiveConfig
from components.distillation.teacher import open_predictions
from components.objectives import Distillation, Supervised
from components.objectives.distillation import EMBEDDING, NATURAL
from components.references import Dataset, TeacherPredictions
from components.storage.closure import code_digest
from components.storage.digest import digest
from components.training.batches import Source, WithFurther


@dataclass(frozen=True)
class DistillationSetup:
    """A teacher's predictions and how to learn from them.

    Attributes:
        predictions: Reference to the predictions.
        objective: Weights and temperature.
    """

    predictions: TeacherPredictions
    objective: ObjectiveConfig

    def facts(self, dataset: Dataset, samples: pd.DataFrame) -> dict[str, Any]:
        """Collect what a training on these rows depends on, beyond what it does without a teacher."""
        train = samples[samples["split"] == "train"]
        return {
            "teacher": Path(self.predictions.store).name,
            "rows": digest(*open_predictions(dataset, train, self.predictions)[2]),
            "objective": self.objective.model_dump(mode="json"),
            "code": code_digest(Distillation, WithFurther),
        }

    def with_predictions(
        self, source: Source, dataset: Dataset, samples: pd.DataFrame, device: torch.device
    ) -> Source:
        """Add the teacher's predictions to the source of these training rows."""
        natural, embedding, _ = open_predictions(dataset, samples, self.predictions)
        return WithFurther(source, {NATURAL: natural, EMBEDDING: embedding}, device)

    def student_objective(self, supervised: Supervised, width: int) -> Distillation:
        """Make the objective of a student with vectors of length ``width``."""
        return Distillation(supervised, self.objective, width, self.predictions.embedding)
