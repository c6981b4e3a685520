"""Linear probe: the head, and the baseline, of an encoder that is taken as it is."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from components.evaluation.metrics import metric
from components.ranking import rank

_STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
_EXCLUDED = -30.0  # logit of a class without training rows


def fit_probe(
    train: np.ndarray,
    train_targets: np.ndarray,
    val: np.ndarray,
    val_targets: np.ndarray,
    outputs: int,
    metric_name: str,
) -> nn.Linear:
    """Multinomial logistic regression on embeddings, its strength chosen on validation.

    Embeddings are standardised with training statistics, which are then folded into the weights.

    Args:
        train: (N, D) float32 embeddings.
        train_targets: (N,) int64 in [0, outputs).
        val: (K, D) float32 embeddings.
        val_targets: (K,) int64.
        outputs: Classes C.
        metric_name: What the choice goes by; equal ones are told apart by the log loss.

    Returns:
        ``nn.Linear(D, C)`` from embeddings as they are to logits.
    """
    mean, std = train.mean(0), train.std(0) + 1e-6
    if len(np.unique(train_targets)) == 1:  # nothing to tell apart
        head = nn.Linear(len(mean), outputs)
        bias = torch.full((outputs,), _EXCLUDED).index_fill(0, torch.from_numpy(train_targets[:1]), 0.0)
        head.load_state_dict({"weight": torch.zeros_like(head.weight), "bias": bias})
        return head
    best: tuple[tuple[float, float], nn.Linear] | None = None
    for strength in _STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=500).fit((train - mean) / std, train_targets)
        head = _as_linear(model, mean, std, outputs)
        logits = head(torch.from_numpy(val)).detach().double()
        probabilities = logits.softmax(1).numpy()
        score = rank(
            metric_name,
            metric(metric_name, val_targets, probabilities),
            metric("log_loss", val_targets, probabilities),
        )
        if best is None or score > best[0]:
            best = (score, head)
    assert best is not None
    return best[1]


def _as_linear(model: LogisticRegression, mean: np.ndarray, std: np.ndarray, outputs: int) -> nn.Linear:
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # one row for the second class
        coefficients = np.stack([-coefficients[0] / 2, coefficients[0] / 2])
        intercepts = np.array([-intercepts[0] / 2, intercepts[0] / 2])
    weight = np.zeros((outputs, len(mean)))
    bias = np.full(outputs, _EXCLUDED)
    weight[model.classes_] = coefficients / std
    bias[model.classes_] = intercepts - (coefficients / std) @ mean
    head = nn.Linear(len(mean), outputs)
    head.load_state_dict({"weight": torch.from_numpy(weight).float(), "bias": torch.from_numpy(bias).float()})
    return head
