"""Features in which a linear model is a kernel machine."""

import torch
from torch import Tensor

from components.models.encoders.protocol import Encoder

_SMALLEST = 1e-6  # of the largest eigenvalue: directions below it are rounding


class Kernel(Encoder):
    """Nystroem features of a Gaussian kernel over the features of another encoder.

    ``K(m, m)^(-1/2) k(m, x)`` for landmarks m, whose products are ``k(x, y) = exp(-|x - y|^2 / V)`` near the
    landmarks (Williams & Seeger 2001, Using the Nyström method to speed up kernel machines). V is the total
    variance of the features, so that two rows are 2 V apart on average. A linear head on top is a kernel
    logistic or ridge regression. Landmarks come from training rows, without labels.

    Args:
        base: Gives features (B, D).
        landmarks: Number L of landmarks, and width of the embedding.
    """

    landmarks: Tensor
    whitening: Tensor
    variance: Tensor

    def __init__(self, base: Encoder, landmarks: int) -> None:
        super().__init__(landmarks)
        self.base = base
        self.register_buffer("landmarks", torch.zeros(landmarks, base.width))
        self.register_buffer("whitening", torch.zeros(landmarks, landmarks))
        self.register_buffer("variance", torch.ones(()))

    def learn(self, features: Tensor) -> None:
        """Take landmarks, and their kernel's inverse root.

        Args:
            features: (N, D) of training rows, N up to L. With fewer, the last outputs are 0.
        """
        rows = len(features)
        self.variance.copy_(features.var(0, correction=0).sum().clamp(min=1e-12))
        self.landmarks[:rows] = features
        values, vectors = torch.linalg.eigh(self._kernel(features)[:, :rows].double())
        roots = torch.where(values > _SMALLEST * values[-1], values.clamp(min=1e-12).rsqrt(), 0.0)
        self.whitening[:rows, :rows] = ((vectors * roots) @ vectors.T).float()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Embed a batch of the base's modality to (B, L)."""
        features = self.base(batch)
        with torch.autocast(features.device.type, enabled=False):
            return self._kernel(features.float()) @ self.whitening

    def _kernel(self, features: Tensor) -> Tensor:
        """Kernel of (B, D) with the landmarks, (B, L)."""
        landmarks = self.landmarks
        squares = features.square().sum(1, keepdim=True) + landmarks.square().sum(1)
        return torch.exp((2 * features @ landmarks.T - squares).clamp(max=0) / self.variance)
