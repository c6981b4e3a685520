"""Expectation of a teacher's help, measured before any student is trained.

With y the label, s what the student's own inputs say of it and t what the teacher says, all out of fold:

- ``E|y - s|²`` is the noise that labels have for the student;
- ``E|t - s|²`` is the noise that the teacher's predictions have for it: what the teacher knows and the
  student cannot see.

A student that learns from t instead of y meets less noise, as far as teacher and student share what they know
(Menon et al. 2021, "A statistical perspective on distillation"). It is as if it had more labels, by the ratio
of the two; rows without a target count in full. A teacher that is nearly always right, by inputs that the
student lacks, says what the label says: the ratio is 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.data.samples import open_samples_table, transfer_rows
from components.evaluation.intervals import Stored
from components.inference.out_of_fold import read_out_of_fold, row_contents
from components.references import Dataset
from components.targets import AnyTarget, Classification, FloatArray, Ordinal

_MUCH, _LITTLE = 3.0, 1.5  # times as many labels
_MOST = 100.0
_ENOUGH = 20  # rows to measure on


@dataclass(frozen=True)
class Expectation(Stored):
    """Worth of a teacher for one student.

    `labels` and `unlabelled` count the rows that it learns from. `label_noise` and `teacher_noise` are mean
    squared distances from what its inputs say, over `rows` training rows out of fold.
    """

    student: str
    rows: int
    labels: int
    unlabelled: int
    label_noise: float
    teacher_noise: float

    @property
    def worth(self) -> float:
        """Number of labels that would be worth as much as the teacher, in units of those that there are."""
        ratio = self.label_noise / max(self.teacher_noise, self.label_noise / _MOST, 1e-12)
        return (self.labels + self.unlabelled) / self.labels * ratio

    @property
    def verdict(self) -> str:
        """'yes' from three times as many labels on, 'no' up to one and a half times, else 'unclear'."""
        return "yes" if self.worth >= _MUCH else "no" if self.worth <= _LITTLE else "unclear"

    @property
    def sentence(self) -> str:
        """The expectation for people."""
        words = {"yes": "is to be expected", "no": "is hardly to be expected", "unclear": "is uncertain"}
        return (
            f"{self.student}: help of the teacher {words[self.verdict]}. Its predictions are worth "
            f"{self.worth:.1f} times the {self.labels} labels: noise {self.teacher_noise:.3f} against "
            f"{self.label_noise:.3f} of the labels, and {self.unlabelled} rows without a target (measured on "
            f"{self.rows} rows out of fold)."
        )


def expectations(
    dataset: Dataset, bundle: Path, students: Mapping[str, Sequence[str]]
) -> tuple[Expectation, ...]:
    """Measure what each student may expect; none for a student whose inputs the teacher does not have.

    Args:
        dataset: Reference to the samples.
        bundle: The teacher, which carries its predictions out of fold.
        students: Inputs of each student, by name.
    """
    carried = read_out_of_fold(bundle)
    if carried is None:
        return ()
    every = sorted(dict.fromkeys(name for inputs in students.values() for name in inputs))
    teacher_inputs = carried.inputs
    if not set(every) <= set(teacher_inputs) or not set(teacher_inputs) <= set(dataset.missing):
        return ()
    samples = open_samples_table(dataset).rows(teacher_inputs)
    samples = samples[samples["split"].eq("train")]
    target = dataset.targets.primary
    truth = dataset.targets.encode(samples)[target.name].numpy()
    positions, lines = carried.find(row_contents(samples, teacher_inputs))
    results = []
    for student, inputs in students.items():
        has_input = samples[[f"{name}.digest" for name in inputs]].notna().any(axis=1).to_numpy()
        usable = has_input[positions] & target.known(truth[positions])
        rows = positions[usable]
        own = carried.predictions(target.name, inputs, lines[usable])
        teacher = carried.predictions(target.name, teacher_inputs, lines[usable])
        if own is None or teacher is None or len(rows) < _ENOUGH:
            continue
        label = _as_prediction(target, truth[rows])
        own, teacher = _compared(target, own), _compared(target, teacher)
        labels = int((has_input & target.known(truth)).sum())
        unlabelled = len(transfer_rows(dataset, inputs))
        noises = (float(np.square(other - own).sum(axis=1).mean()) for other in (label, teacher))
        results.append(Expectation(student, len(rows), labels, unlabelled, *noises))
    return tuple(results)


def _as_prediction(target: AnyTarget, values: np.ndarray) -> FloatArray:
    """Write labels as predictions that are sure of them: (N, P)."""
    if isinstance(target, Classification | Ordinal):
        return np.eye(len(target.columns))[values]
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)


def _compared(target: AnyTarget, predictions: FloatArray) -> FloatArray:
    """Take the part of predictions that can be compared with labels: probabilities, or the mean."""
    return predictions[:, :1] if target.task == "regression" else predictions
