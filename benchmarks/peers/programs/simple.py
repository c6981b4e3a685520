"""An honest hour of scikit-learn: several models per input, chosen and combined on validation.

Each input has the models of :mod:`benchmarks.peers.programs.simple_models`, of which validation chooses one.
The inputs are combined as the best of them, their average, their product, or a stack that learns from
out-of-fold predictions; validation chooses again. Then the chosen models learn from training and validation
rows together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import sklearn
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax
from scipy.stats import skew
from sklearn import metrics
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier

from benchmarks.peers.job import Job, run
from benchmarks.peers.programs.simple_models import models_of

_FOLDS = 5
_SKEWED = 1.0
_TRIALS = 0.6  # share of the time in which models may still be begun
_LOWEST = -30.0  # log-probability of a class that a model has not seen


@dataclass
class Single:
    """The chosen model of an input.

    Attributes:
        name: Name of the model.
        columns: Columns of the input.
        features: Fitted transformer of the rows.
        model: Fitted model of what it gives.
        temperature: Factor of the scores that makes them log-probabilities.
        score: Metric on validation; higher is better.
    """

    name: str
    columns: list[str]
    features: Any
    model: Any
    temperature: float
    score: float


class Task:
    """The target as numbers, its predictions and their metric.

    Args:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.is_number, self.has_labels = job.is_number, job.task == "multilabel"

    def encode(self, cells: pd.Series) -> np.ndarray:
        """Encode a target: numbers (N,), classes (N,) int or labels (N, L) int."""
        if self.is_number:
            return cells.to_numpy(float)
        if self.has_labels:
            own = [set(str(cell).split(self.job.separator)) for cell in cells]
            return np.array([[int(name in names) for name in self.job.classes] for names in own])
        return np.array([self.job.classes.index(cell) for cell in cells])

    def scores(self, model: Any, features: Any) -> np.ndarray:
        """Give numbers (N, 1), or scores (N, C) of which a multiple is a log-probability or log-odds."""
        if self.is_number:
            return np.asarray(model.predict(features), float).reshape(-1, 1)
        if hasattr(model, "decision_function"):
            values = np.asarray(model.decision_function(features))
        else:
            shares = np.clip(model.predict_proba(features), 1e-9, 1 - 1e-9)
            values = np.log(shares) - (np.log1p(-shares) if self.has_labels else 0)
        if values.ndim == 1:
            values = np.stack([np.zeros(len(values)), values], axis=1)
        if self.has_labels:
            return values
        result = np.full((len(values), len(self.job.classes)), values.min() + _LOWEST)
        result[:, model.classes_] = values
        return result

    def predict(self, scores: np.ndarray) -> np.ndarray:
        """Give numbers, or probabilities of (N, C) log-probabilities or log-odds."""
        if self.is_number:
            return scores
        return expit(scores) if self.has_labels else np.exp(log_softmax(scores, axis=1))

    def temperature(self, scores: np.ndarray, truth: np.ndarray) -> float:
        """Find the factor of the scores with the least log loss."""
        if self.is_number:
            return 1.0
        labels = truth if self.has_labels else np.eye(len(self.job.classes))[truth]

        def loss(log_factor: float) -> float:
            shares = np.clip(self.predict(np.exp(log_factor) * scores), 1e-9, 1 - 1e-9)
            wrong = (1 - labels) * np.log1p(-shares) if self.has_labels else 0
            return float(-(labels * np.log(shares) + wrong).mean())

        return float(np.exp(minimize_scalar(loss, bounds=(-3, 5), method="bounded").x))

    def metric(self, truth: np.ndarray, predicted: np.ndarray) -> float:
        """Score predictions; higher is better."""
        name = self.job.metric
        if self.is_number:
            values = predicted[:, 0]
            return {
                "rmse": lambda: -metrics.root_mean_squared_error(truth, values),
                "mae": lambda: -metrics.mean_absolute_error(truth, values),
                "mape": lambda: -metrics.mean_absolute_percentage_error(truth, values),
            }.get(name, lambda: metrics.r2_score(truth, values))()
        if self.has_labels:
            chosen = predicted >= 0.5
            return {
                "f1_micro": lambda: metrics.f1_score(truth, chosen, average="micro", zero_division=0),
                "average_precision": lambda: metrics.average_precision_score(truth, predicted),
                "roc_auc": lambda: metrics.roc_auc_score(truth, predicted),
                "subset_accuracy": lambda: metrics.accuracy_score(truth, chosen),
                "log_loss": lambda: -metrics.log_loss(truth.ravel(), predicted.ravel()),
            }.get(name, lambda: metrics.f1_score(truth, chosen, average="macro", zero_division=0))()
        chosen, numbers = predicted.argmax(1), list(range(len(self.job.classes)))
        binary = predicted[:, 1] if len(numbers) == 2 else predicted
        return {
            "balanced_accuracy": lambda: metrics.balanced_accuracy_score(truth, chosen),
            "f1_macro": lambda: metrics.f1_score(truth, chosen, average="macro", zero_division=0),
            "f1_weighted": lambda: metrics.f1_score(truth, chosen, average="weighted", zero_division=0),
            "roc_auc": lambda: metrics.roc_auc_score(truth, binary, multi_class="ovr", labels=numbers),
            "log_loss": lambda: -metrics.log_loss(truth, predicted, labels=numbers),
            "quadratic_kappa": lambda: metrics.cohen_kappa_score(truth, chosen, weights="quadratic"),
            "mae": lambda: -float(np.abs(truth - chosen).mean()),
            "within_one": lambda: float((np.abs(truth - chosen) <= 1).mean()),
        }.get(name, lambda: metrics.accuracy_score(truth, chosen))()

    def prior(self, truth: np.ndarray) -> np.ndarray:
        """Give the prediction without any input, (1, C) log-probabilities or log-odds, or the mean."""
        if self.is_number:
            return np.array([[truth.mean()]])
        if self.has_labels:
            shares = np.clip(truth.mean(0), 1e-3, 1 - 1e-3)
            return np.log(shares / (1 - shares))[None]
        counts = np.bincount(truth, minlength=len(self.job.classes)) + 0.5
        return np.log(counts / counts.sum())[None]


Combination = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Combined:
    """Models of all inputs and their combination.

    Args:
        task: The target.
        singles: Model of each input.
        prior: (1, C) prediction without any input.
    """

    def __init__(self, task: Task, singles: list[Single], prior: np.ndarray) -> None:
        self.task, self.singles, self.prior = task, singles, prior
        self.way, self.stack = "average", None

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Give probabilities (N, C), or numbers (N, 1)."""
        natural, present = self.inputs(rows)
        return self.combine(natural, present, self.way, self.stack)

    def inputs(self, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Give what each input alone says, (N, M, C), and where it is present, (N, M)."""
        natural = np.tile(self.prior[:, None], (len(rows), len(self.singles), 1))
        present = np.stack([has_input(rows, single.columns) for single in self.singles], axis=1)
        for column, single in enumerate(self.singles):
            if present[:, column].any():
                features = single.features.transform(rows[present[:, column]])
                scores = single.temperature * self.task.scores(single.model, features)
                natural[present[:, column], column] = _normal(self.task, scores)
        return natural, present

    def combine(self, natural: np.ndarray, present: np.ndarray, way: str, stack: Any) -> np.ndarray:
        """Combine inputs (N, M, C), of which each row has some: (N, C)."""
        count = present.sum(1)[:, None]  # (N, 1)
        inside = present[:, :, None]
        if stack is not None:
            scores = self.task.scores(stack, natural.reshape(len(natural), -1))
            return np.where(count > 0, self.task.predict(scores), self.task.predict(self.prior))
        if way == "product":
            joint = (natural * inside).sum(1) - (count - 1) * self.prior
            return self.task.predict(np.where(count > 0, joint, self.prior))
        shares = np.stack([self.task.predict(natural[:, each]) for each in range(natural.shape[1])], axis=1)
        if way.startswith("input "):
            return shares[:, int(way.split()[1])]
        mean = (shares * inside).sum(1) / np.maximum(count, 1)
        return np.where(count > 0, mean, self.task.predict(self.prior))


def has_input(rows: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """Mark the rows in which an input has a cell, (N,) bool."""
    return rows[columns].notna().any(axis=1).to_numpy()


def _normal(task: Task, scores: np.ndarray) -> np.ndarray:
    return scores if task.is_number or task.has_labels else log_softmax(scores, axis=1)


def _estimator(task: Task, model: Any, truth: np.ndarray) -> Any:
    """Fit labels one by one, and skewed numbers on a log scale."""
    if task.has_labels:
        return OneVsRestClassifier(clone(model))
    if task.is_number and truth.min() > 0 and skew(truth) > _SKEWED:
        return TransformedTargetRegressor(clone(model), func=np.log, inverse_func=np.exp)
    return clone(model)


def choose(
    task: Task,
    section: dict[str, Any],
    rows: pd.DataFrame,
    truth: np.ndarray,
    val: pd.DataFrame,
    val_truth: np.ndarray,
    until: float,
) -> Single:
    """Fit the models of one input that time allows, and take the best on validation."""
    columns = section["columns"]
    features, models = models_of(section["modality"], columns, rows, task.is_number)
    inside, val_inside = has_input(rows, columns), has_input(val, columns)
    x = features.fit_transform(rows[inside])
    val_x = features.transform(val[val_inside])
    best: Single | None = None
    for name, model in models:
        if best is not None and time.monotonic() > until:
            break
        fitted = _estimator(task, model, truth).fit(x, truth[inside])
        scores = task.scores(fitted, val_x)
        temperature = task.temperature(scores, val_truth[val_inside])
        score = task.metric(val_truth[val_inside], task.predict(temperature * scores))
        if best is None or score > best.score:
            best = Single(name, columns, features, fitted, temperature, score)
    assert best is not None
    return best


def out_of_fold(
    task: Task, single: Single, rows: pd.DataFrame, truth: np.ndarray, prior: np.ndarray
) -> np.ndarray:
    """Predict each training row by a fit of the chosen model that has not seen it, (N, C)."""
    natural = np.tile(prior, (len(rows), 1))
    inside = np.flatnonzero(has_input(rows, single.columns))
    x, y = single.features.transform(rows.iloc[inside]), truth[inside]
    counted = not task.is_number and not task.has_labels and np.bincount(y)[np.unique(y)].min() >= _FOLDS
    folds = (StratifiedKFold if counted else KFold)(_FOLDS, shuffle=True, random_state=task.job.seed)
    for learn, held in folds.split(inside, y if counted else None):
        fitted = clone(single.model).fit(_take(x, learn), y[learn])
        natural[inside[held]] = _normal(task, single.temperature * task.scores(fitted, _take(x, held)))
    return natural


def _take(features: Any, rows: np.ndarray) -> Any:
    return features.iloc[rows] if isinstance(features, pd.DataFrame) else features[rows]


def train(job: Job, rows: pd.DataFrame, val: pd.DataFrame, folder: Path) -> tuple[Combined, str]:
    """Choose a model per input and their combination, refit to all rows and store them."""
    begin, task = time.monotonic(), Task(job)
    truth, val_truth = task.encode(rows[job.target]), task.encode(val[job.target])
    sections = list(job.inputs.values())
    singles = []
    for number, section in enumerate(sections, start=1):
        until = begin + _TRIALS * job.seconds * number / len(sections)
        singles.append(choose(task, section, rows, truth, val, val_truth, until))
    model = Combined(task, singles, task.prior(truth))
    natural, present = model.inputs(val)
    names = list(job.inputs)
    ways: dict[str, Any] = {f"input {number}": None for number in range(len(singles))}
    if len(singles) > 1:
        ways |= {"average": None} if task.is_number else {"average": None, "product": None}
    if len(singles) > 1 and not task.has_labels:
        unseen = np.stack([out_of_fold(task, each, rows, truth, model.prior) for each in singles], axis=1)
        flat = unseen.reshape(len(rows), -1)
        for strength in (0.01, 0.1, 1.0):
            linear: Any = Ridge(strength) if task.is_number else LogisticRegression(C=strength, max_iter=1000)
            ways[f"stack {strength:g}"] = linear.fit(flat, truth)
    results = {
        way: task.metric(val_truth, model.combine(natural, present, way, stack))
        for way, stack in ways.items()
    }
    model.way = max(results, key=lambda way: results[way])
    model.stack = ways[model.way]
    every, every_truth = pd.concat([rows, val], ignore_index=True), np.concatenate([truth, val_truth])
    for single in singles:
        inside = has_input(every, single.columns)
        x = single.features.fit_transform(every[inside])
        single.model = clone(single.model).fit(x, every_truth[inside])
    joblib.dump(model, folder / "model.joblib", compress=3)
    chosen = ", ".join(
        f"{name}: {each.name} {each.score:.3f}" for name, each in zip(names, singles, strict=True)
    )
    combined = ", ".join(
        f"{way} {value:.3f}" for way, value in results.items() if not way.startswith("input")
    )
    way = f"{names[int(model.way.split()[1])]} alone" if model.way.startswith("input ") else model.way
    return model, f"{way}; validation: {chosen}" + (f"; {combined}" if combined else "")


if __name__ == "__main__":
    run(train, f"scikit-learn {sklearn.__version__}")
