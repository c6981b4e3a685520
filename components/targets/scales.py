"""Scales on which a number is Gaussian: its own, a logarithm, or an inverse hyperbolic sine."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from components.metrics.regression import gaussian_losses
from components.targets.target import FloatArray

_FOLDS, _FEWEST, _SAMPLE = 5, 50, 20_000
_GAIN = 0.1  # nats per row by which a scale has to be more likely than a simpler one
_CENTRES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)  # quantiles
_SPREADS = (0.1, 0.3, 1.0, 3.0)  # interquartile ranges
_FAR = 1e30


class Scale(Protocol):
    """A strictly increasing function of a number, with the moments of what is Gaussian on it."""

    def inner(self, values: Tensor) -> Tensor:
        """Convert numbers (N,) to the scale."""

    def outer(self, inner: FloatArray) -> FloatArray:
        """Convert back; infinite ends stay infinite."""

    def moments(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Give mean and standard deviation (N,) of the number that is Gaussian on the scale."""

    def gaussian(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Give mean and variance (N,) on the scale of a number with this mean and variance."""

    def log_slope(self, inner: FloatArray) -> FloatArray:
        """Give the log of the number's change per change on the scale, the Jacobian (N,)."""


@dataclass(frozen=True)
class Own:
    """The scale of the number itself."""

    def inner(self, values: Tensor) -> Tensor:
        return values

    def outer(self, inner: FloatArray) -> FloatArray:
        return inner

    def moments(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        return mean, variance.sqrt()

    def gaussian(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        return mean, variance

    def log_slope(self, inner: FloatArray) -> FloatArray:
        return np.zeros_like(inner)


@dataclass(frozen=True)
class Log:
    """Logarithm, of a log-normal number.

    Attributes:
        shift: Number that is added before the logarithm is taken.
        least: Least sum of number and shift: smaller ones count as this.
    """

    shift: float
    least: float

    def inner(self, values: Tensor) -> Tensor:
        return (values + self.shift).clamp(min=self.least).log()

    def outer(self, inner: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):  # without validation rows the reach is infinite
            return np.asarray(np.exp(inner) - self.shift)

    def moments(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        middle = (mean + variance / 2).exp()
        return middle - self.shift, middle * variance.expm1().sqrt()

    def gaussian(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        moved = (mean + self.shift).clamp(min=self.least)  # of a model without a shift it may be below 0
        inner = (variance / moved.square()).log1p()
        return moved.log() - inner / 2, inner

    def log_slope(self, inner: FloatArray) -> FloatArray:
        return inner


@dataclass(frozen=True)
class Asinh:
    """Inverse hyperbolic sine of ``(number - centre) / spread``: Johnson's S_U system (Johnson 1949).

    Near the centre it is even, far from it on both sides a logarithm. So tails may be long on either side,
    and numbers may have both signs. Mean and variance give the distribution back in closed form.

    Attributes:
        centre: Number where the scale is 0.
        spread: Distance from the centre at which the logarithm begins.
    """

    centre: float
    spread: float

    def inner(self, values: Tensor) -> Tensor:
        return ((values - self.centre) / self.spread).asinh()

    def outer(self, inner: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.asarray(self.centre + self.spread * np.sinh(inner))

    def moments(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        middle = (variance / 2).exp() * mean.sinh()
        square = variance.expm1() * (variance.exp() * (2 * mean).cosh() + 1) / 2
        return self.centre + self.spread * middle, self.spread * square.sqrt()

    def gaussian(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        middle = ((mean - self.centre) / self.spread).clamp(-_FAR, _FAR)
        square = (variance / self.spread**2).clamp(max=_FAR**2)
        # The exponential w of the inner variance solves w² / 2 + middle² w = 1 / 2 + middle² + square.
        one = middle.square() + 1
        surplus = 2 * square / ((one.square() + 2 * square).sqrt() + one)  # w - 1
        return (middle / (1 + surplus).sqrt()).asinh(), surplus.log1p()

    def log_slope(self, inner: FloatArray) -> FloatArray:
        return np.asarray(math.log(self.spread) + np.logaddexp(inner, -inner) - math.log(2))


def log_scale(numbers: FloatArray) -> Log | None:
    """Give the logarithm for training numbers; None where some are below 0.

    Numbers above 0 need nothing added; else it is the lower quartile of those that are.
    """
    if numbers.min() < 0 or not (numbers > 0).any():
        return None
    shift = 0.0 if numbers.min() > 0 else float(np.quantile(numbers[numbers > 0], 0.25))
    return Log(shift, float((numbers + shift).min()) / 2)


def asinh_scale(numbers: FloatArray) -> Asinh | None:
    """Give the inverse hyperbolic sine that makes training numbers most likely; None without a spread.

    Centres are quantiles, spreads parts of the distance between quartiles.
    """
    numbers = _sample(numbers)
    low, high = np.quantile(numbers, [0.25, 0.75])
    if not high > low:
        return None
    every = [
        Asinh(float(centre), float(spread * (high - low)))
        for centre in np.unique(np.quantile(numbers, _CENTRES))
        for spread in _SPREADS
    ]
    return max(every, key=lambda scale: _likelihood(numbers, scale))


def likeliest_scale(numbers: FloatArray) -> Scale:
    """Choose the scale of training numbers by the likelihood of numbers that were left out.

    The comparison of transformations by Box & Cox (1964, section 3), with the Jacobian of each; here each
    of 5 folds has parameters and Gaussian of the others. A scale is taken only for a clear gain over a
    simpler one: the number's own, the logarithm, the inverse hyperbolic sine.
    """
    best: Scale = Own()
    if len(numbers) < _FEWEST:
        return best
    likelihood = _held_out(numbers, lambda _: Own())
    for fit in (log_scale, asinh_scale):
        scale = fit(numbers)
        if scale is None:
            continue
        other = _held_out(numbers, fit)
        if other - likelihood > _GAIN:
            best, likelihood = scale, other
    return best


def _held_out(numbers: FloatArray, fit: Callable[[FloatArray], Scale | None]) -> float:
    """Mean log-likelihood of numbers under scale and Gaussian of the other folds."""
    order = np.random.default_rng(0).permutation(len(numbers)) % _FOLDS
    total = 0.0
    for fold in range(_FOLDS):
        inside, outside = numbers[order == fold], numbers[order != fold]
        scale = fit(outside)
        if scale is None:
            return -math.inf
        total += _likelihood(inside, scale, outside) * len(inside)
    return total / len(numbers)


def _likelihood(numbers: FloatArray, scale: Scale, others: FloatArray | None = None) -> float:
    """Mean log-likelihood of numbers, under the Gaussian of others if any are given."""
    inner = _inner(scale, numbers)
    given = inner if others is None else _inner(scale, others)
    under = np.tile([given.mean(), given.std() + 1e-12], (len(inner), 1))
    return -float((gaussian_losses(inner, under) + scale.log_slope(inner)).mean())


def _inner(scale: Scale, numbers: FloatArray) -> FloatArray:
    return np.asarray(scale.inner(torch.from_numpy(numbers)).numpy())


def _sample(numbers: FloatArray) -> FloatArray:
    if len(numbers) <= _SAMPLE:
        return numbers
    return numbers[np.sort(np.random.default_rng(0).permutation(len(numbers))[:_SAMPLE])]
