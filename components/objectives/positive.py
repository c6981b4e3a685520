"""Pairs alone, without anything to tell them from."""

import torch
from torch import Tensor
from torch.nn import functional as F

from components.objectives.pairwise import Pairwise

_TINY = 1e-4  # added to the variance: its root has no slope at 0


class Positive(Pairwise):
    """Variance, invariance, covariance: VICReg (Bardes, Ponce & LeCun 2022, https://arxiv.org/abs/2105.04906).

    Paired rows are drawn together (equation 5), by the mean over dimensions, so that the weights mean the
    same at every width. Each dimension of each input keeps a standard deviation of 1 (equations 1 and 2), and
    the dimensions are decorrelated (equations 3 and 4). The vectors are not normalised.

    Args:
        invariance, variance, covariance: Weights of the three terms.
    """

    def __init__(self, invariance: float, variance: float, covariance: float) -> None:
        super().__init__()
        self.invariance, self.variance, self.covariance = invariance, variance, covariance

    def pair(self, x: Tensor, y: Tensor, together: Tensor) -> Tensor:
        return (
            self.invariance * F.mse_loss(x, y)
            + self.variance * (spread(x) + spread(y))
            + self.covariance * (entanglement(x) + entanglement(y))
        )


def spread(x: Tensor) -> Tensor:
    """Mean shortfall from 1 of the standard deviations of the columns of (B, W)."""
    return F.relu(1 - (x.var(0) + _TINY).sqrt()).mean()


def entanglement(x: Tensor) -> Tensor:
    """Sum of the squared covariances of different columns of (B, W), over W."""
    covariance = torch.cov(x.T)  # (W, W)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / x.shape[1]
