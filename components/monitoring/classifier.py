"""A domain classifier: can a linear model tell new vectors from old ones?"""

from __future__ import annotations

import numpy as np
from scipy.stats import mannwhitneyu
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5
_STRENGTH = 0.1  # inverse of the penalty: embeddings have many dimensions for few rows


def domain_auc(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[float, float]:
    """Cross-validated area under the ROC curve of a logistic regression, and its p-value.

    Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests", https://arxiv.org/abs/1610.06545. In a
    fold the classifier has seen none of the vectors that it orders, so that the Mann-Whitney test of that
    fold is sound. The folds are not independent of each other; twice the mean of their p-values is a p-value
    whatever they have to do with each other (Vovk & Wang 2020, https://arxiv.org/abs/1212.4966).

    Args:
        x: (N, D) old vectors, at least one for each fold.
        y: (M, D) new ones, at least one for each fold.
        seed: Of the folds.

    Returns:
        Mean area over the folds (.5: they cannot be told apart), and the p-value.
    """
    vectors = np.concatenate([x, y]).astype(np.float64)
    new = np.repeat([False, True], [len(x), len(y)])
    areas, chances = [], []
    for learn, judge in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(vectors, new):
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=1000),
        )
        model.fit(vectors[learn], new[learn])
        scores, truth = model.decision_function(vectors[judge]), new[judge]
        test = mannwhitneyu(scores[truth], scores[~truth], alternative="greater")
        areas.append(test.statistic / (truth.sum() * (~truth).sum()))
        chances.append(test.pvalue)
    return float(np.mean(areas)), float(min(1.0, 2 * np.mean(chances)))
