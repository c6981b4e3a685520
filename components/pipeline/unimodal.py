"""Validation scores of each input on its own."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch

from components.config import TrainingConfig
from components.config.balance import BalanceConfig, Sequential
from components.data.samples import load_embeddings, open_samples_table
from components.models.fusion.masking import as_vector
from components.models.weights import read_tensors
from components.objectives import Supervised
from components.references import Dataset, Features, Single
from components.targets import Head, higher_is_better


def solo_scores(
    dataset: Dataset, features: Mapping[str, Features], singles: Mapping[str, Single]
) -> dict[str, float]:
    """Measure each input's own fit by the primary target's metric, on the validation rows that have it.

    Turned so that higher is better; minus infinity where no row has the input.
    """
    samples = open_samples_table(dataset).split("val", list(features))
    sign = 1 if higher_is_better(dataset.targets.primary.metric) else -1
    scores = {}
    for name in sorted(features):
        rows = samples[samples[f"{name}.digest"].notna()]
        scores[name] = -math.inf
        if len(rows):
            head = Head(features[name].encoder.width, dataset.targets)
            head.load_state_dict(read_tensors(Path(singles[name].head), singles[name].prefix))
            with torch.no_grad():
                natural = head(as_vector(load_embeddings(rows, name, features[name])))
            values = dataset.targets.encode(rows)
            have = torch.ones(len(rows), 1, dtype=torch.bool)
            _, value = Supervised(dataset.targets, TrainingConfig(), values).evaluate(natural, values, have)
            scores[name] = -math.inf if math.isnan(value) else sign * value
    return scores


def balance_key(
    balance: BalanceConfig,
    dataset: Dataset,
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
) -> object:
    """List what a training depends on by its cure, JSON-serialisable."""
    options = balance.model_dump(mode="json", exclude={"warn_below"})
    if not isinstance(balance, Sequential):
        return options
    scores = solo_scores(dataset, features, singles)
    return [options, sorted(scores, key=lambda name: scores[name])]
