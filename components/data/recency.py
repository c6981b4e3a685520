"""Weights of rows by their age."""

import numpy as np
import pandas as pd

from components.config.durations import seconds
from components.data.samples import open_samples_table
from components.references import Dataset


def recency(dataset: Dataset, samples: pd.DataFrame, half_life: str | None) -> np.ndarray | None:
    """Weigh rows by ``0.5 ** (age / half_life)``, where the age is that against the newest of them.

    Args:
        dataset: Reference to the samples.
        samples: N rows of the samples table.
        half_life: Period; None weighs all alike.

    Returns:
        (N,) float32 with mean 1; None where all count alike.
    """
    if half_life is None:
        return None
    times = open_samples_table(dataset).times()
    assert times is not None, "the configuration asks for times"
    own = times[samples.index]
    ages = (own.max() - own) / np.timedelta64(1, "s")
    weights = np.exp2(-ages / seconds(half_life))
    return (weights / weights.mean()).astype(np.float32)
