"""Regularised linear models on fixed features, their strength chosen on validation rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC
from torch import Tensor

from components.targets import AnyTarget, Multilabel, Regression, Targets, known_rows, metric, rank

EXCLUDED = -30.0  # logit of a class without training rows
_SAMPLE = 20_000  # training rows by which a strength is chosen; more would choose the same
_PENALTIES = (1000.0, 100.0, 10.0, 1.0, 0.1)

Classifier = Callable[[float], Any]


class Weights(NamedTuple):
    """Model of one target: weights (K, D), biases (K,), and the scale that validation gave its outputs."""

    weight: np.ndarray
    bias: np.ndarray
    scale: float = 1.0


@dataclass(frozen=True)
class Linear:
    """Linear model of all targets.

    Attributes:
        weight: (K, D).
        bias: (K,) outputs of a head where all features are 0.
        strengths: Strength of each target's model; None where no row has the target.
        scales: Precision, or factor of the margins, of each target's model.
    """

    weight: np.ndarray
    bias: np.ndarray
    strengths: tuple[float | None, ...]
    scales: tuple[float, ...]

    @property
    def choice(self) -> dict[str, list[Any]]:
        """Strengths and scales, JSON-serialisable, for a fit that takes them over."""
        return {"strengths": list(self.strengths), "scales": list(self.scales)}


def logistic(strength: float) -> LogisticRegression:
    """Multinomial logistic regression."""
    return LogisticRegression(C=strength, max_iter=500)


def margin(strength: float) -> LinearSVC:
    """One support vector machine per class: on many sparse features as good, and ten times as fast."""
    return LinearSVC(C=strength, random_state=0)


STRENGTHS: dict[Classifier, tuple[float, ...]] = {
    logistic: (0.001, 0.01, 0.1, 1.0, 10.0),
    margin: (0.1, 0.3, 1.0, 3.0),
}


def fit_linear(
    targets: Targets,
    train: Any,
    train_values: Mapping[str, Tensor],
    val: Any,
    val_values: Mapping[str, Tensor],
    *,
    classifier: Classifier = logistic,
    penalties: Sequence[float] = _PENALTIES,
    balanced: bool = False,
    row_weights: np.ndarray | None = None,
    choice: Mapping[str, Sequence[Any]] | None = None,
) -> Linear:
    """Fit a linear model to each target.

    A classifier for classes, one for each label, ridge regression for numbers (its variance is that of the
    validation errors). Margins, which are no log-odds, are divided by the temperature that fits validation.

    Args:
        targets: What is predicted.
        train: (N, D) features, dense or sparse, of like scale.
        train_values: By target, for N rows.
        val: (V, D) features.
        val_values: By target, for V rows.
        classifier: Makes the classifier of a strength.
        penalties: Penalties that are tried for numbers.
        balanced: Weigh rows by the inverse frequency of their class.
        row_weights: (N,) weights of the rows, with mean 1; None weighs all alike.
        choice: :attr:`Linear.choice` of another fit, to take its strengths over, and its scales where there
            are no validation rows; None chooses on validation.
    """
    fits = []
    for number, target in enumerate(targets):
        fitted, judged = known_rows(train_values[target.name]), known_rows(val_values[target.name])
        given = None if choice is None else choice["strengths"][number]
        grid = penalties if isinstance(target, Regression) else STRENGTHS[classifier]
        one = _Fit(
            target,
            train[fitted.numpy()],
            train_values[target.name][fitted].numpy(),
            val[judged.numpy()],
            val_values[target.name][judged].numpy(),
            classifier,
            balanced,
            None if row_weights is None else row_weights[fitted.numpy()],
            None if choice is None else choice["scales"][number],
        )
        fits.append(one.chosen(grid) if given is None else (given, one.with_strength(given)))
    weights, biases, scales = zip(*(each for _, each in fits), strict=True)
    strengths = tuple(each for each, _ in fits)
    return Linear(np.concatenate(weights), np.concatenate(biases), strengths, scales)


@dataclass
class _Fit:
    """Models of one target; rows all have it."""

    target: AnyTarget
    train: Any
    values: np.ndarray
    val: Any
    val_values: np.ndarray
    classifier: Classifier
    balanced: bool
    row_weights: np.ndarray | None
    scale: float | None  # where there is no validation row to find it by

    def chosen(self, grid: Sequence[float]) -> tuple[float | None, Weights]:
        """Give the strength that does best on validation, and its model."""
        if not len(self.values):  # no row has both the input and this target: nothing is said of it
            width = self.target.width
            return None, Weights(np.zeros((width, self.train.shape[1])), np.zeros(width))
        few = self._sample()
        best: tuple[tuple[float, float], float, Weights] | None = None
        for strength in grid:
            weights = few.with_strength(strength)
            if not len(self.val_values):
                return strength, self.with_strength(strength)
            score = few._score(weights)
            if best is None or score > best[0]:
                best = (score, strength, weights)
        assert best is not None
        return best[1], best[2] if few is self else self.with_strength(best[1])

    def with_strength(self, strength: float) -> Weights:
        """Fit the model of one strength."""
        if isinstance(self.target, Regression):
            return self._number(strength)
        weight, bias, scale = self._calibrated(
            *(self._labels if isinstance(self.target, Multilabel) else self._classes)(strength)
        )
        balance = self.target.balance(self.values) if self.balanced else None
        if balance is not None:  # log-odds of the frequencies that the rows have; see Targets.loss_of
            bias = np.where(np.abs(bias) == -EXCLUDED, bias, bias - balance.log().numpy())
        return Weights(weight, bias, scale)

    def _sample(self) -> "_Fit":
        rows = self.train.shape[0]
        if rows <= _SAMPLE:
            return self
        drawn = np.sort(np.random.default_rng(0).permutation(rows)[:_SAMPLE])
        weights = None if self.row_weights is None else self.row_weights[drawn]
        return replace(self, train=self.train[drawn], values=self.values[drawn], row_weights=weights)

    def _score(self, weights: Weights) -> tuple[float, float]:
        target = self.target
        natural = target.natural(torch.from_numpy(_outputs(self.val, weights)).double())
        predictions = target.predict(natural).numpy()
        return rank(
            target.metric,
            metric(target, target.metric, self.val_values, predictions),
            metric(target, "log_loss", self.val_values, predictions),
        )

    def _calibrated(self, weight: np.ndarray, bias: np.ndarray) -> Weights:
        """Divide margins by a temperature; a class that training does not have stays excluded."""
        scale = 1.0 if self.scale is None else self.scale
        if self.classifier is not margin:
            return Weights(weight, bias)
        if len(self.val_values):
            outputs = torch.from_numpy(_outputs(self.val, Weights(weight, bias)))
            scale = 1 / self.target.temperature(outputs, self.val_values)
        return Weights(weight * scale, np.where(np.abs(bias) == -EXCLUDED, bias, bias * scale), scale)

    def _classes(self, strength: float) -> tuple[np.ndarray, np.ndarray]:
        target, values = self.target, self.values
        weight = np.zeros((target.width, self.train.shape[1]))
        bias = np.full(target.width, EXCLUDED)
        if len(np.unique(values)) == 1:  # nothing to tell apart
            bias[values[0]] = 0.0
            return weight, bias
        weights = row_weights(target, values, self.balanced, self.row_weights)
        model = self.classifier(strength).fit(self.train, values, weights)
        coefficients, intercepts = model.coef_, model.intercept_
        if len(model.classes_) == 2:  # one row for the second class
            coefficients = np.stack([-coefficients[0] / 2, coefficients[0] / 2])
            intercepts = np.array([-intercepts[0] / 2, intercepts[0] / 2])
        weight[model.classes_], bias[model.classes_] = coefficients, intercepts
        return weight, bias

    def _labels(self, strength: float) -> tuple[np.ndarray, np.ndarray]:
        target = self.target
        weight, bias = np.zeros((target.width, self.train.shape[1])), np.zeros(target.width)
        weights = row_weights(target, self.values, self.balanced, self.row_weights)
        for column, truth in enumerate(self.values.T):
            if truth.min() == truth.max():
                bias[column] = -EXCLUDED if truth[0] > 0.5 else EXCLUDED
                continue
            own = None if weights is None else weights[:, column]
            model = self.classifier(strength).fit(self.train, truth, own)
            weight[column], bias[column] = model.coef_[0], model.intercept_[0]
        return weight, bias

    def _number(self, penalty: float) -> Weights:
        """With one precision for all rows, the mean's weights times it are those of mean / variance."""
        target = self.target
        assert isinstance(target, Regression)
        model = Ridge(alpha=penalty).fit(self.train, target.standardised(self.values), self.row_weights)
        has_val = len(self.val_values) > 0
        if has_val or self.scale is None:
            rows, truth = (self.val, self.val_values) if has_val else (self.train, self.values)
            errors = target.standardised(truth) - model.predict(rows)
            precision = 1 / max(float(np.square(errors).mean()), 1e-3)
        else:
            precision = self.scale
        weight = np.stack([model.coef_ * precision, np.zeros(self.train.shape[1])])
        bias = np.array([model.intercept_ * precision, target.raw_precision(precision)])
        return Weights(weight, bias, precision)


def row_weights(
    target: AnyTarget, values: np.ndarray, balanced: bool, given: np.ndarray | None
) -> np.ndarray | None:
    """Weigh rows by their class, beside the weights that they are given.

    Args:
        target: What is predicted.
        values: Encoded values of N rows that have the target.
        balanced: Weigh rows by the inverse frequency of their class.
        given: (N,) weights; None weighs all alike.

    Returns:
        (N,), or (N, L) for labels; None where all count alike.
    """
    balance = target.balance(values) if balanced else None
    if balance is None:
        if given is not None and isinstance(target, Multilabel):
            return np.repeat(given[:, None], target.width, 1)
        return given
    if isinstance(target, Multilabel):
        weights = np.where(values > 0.5, balance.numpy(), 1.0)
        return weights if given is None else weights * given[:, None]
    weights = balance.numpy()[values]
    return weights if given is None else weights * given


def _outputs(rows: Any, weights: Weights) -> np.ndarray:
    return np.asarray(rows @ weights.weight.T + weights.bias)
