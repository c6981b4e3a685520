"""Whether a challenger replaces the champion: both on the same test rows, by a paired test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from components.config.pipeline import PipelineConfig
from components.data.ingest import Dataset
from components.evaluation.bootstrap import paired_gain
from components.evaluation.results import Gain
from components.examples import as_table
from components.predictor import Predictor
from components.samples import read_samples, target_indices
from components.training.resumable import seed_of


@dataclass(frozen=True)
class Verdict:
    """The decision.

    Attributes:
        promote: Whether the challenger becomes champion.
        reason: One sentence for people.
        gain: Challenger minus champion; None where there was none to compare with.
    """

    promote: bool
    reason: str
    gain: Gain | None = None


FIRST = Verdict(True, "first model under this name")


def compare(
    dataset: Dataset, challenger: pd.DataFrame, champion: Path, champion_name: str, config: PipelineConfig
) -> Verdict:
    """Compare a challenger's predictions with the champion's on the same test rows.

    Args:
        dataset: Reference to the samples.
        challenger: Predictions of :class:`components.judge.Judgement`.
        champion: The champion's bundle.
        champion_name: What to call it.
        config: The challenger's pipeline, whose promotion rule holds.
    """
    rule = config.promotion
    samples = read_samples(dataset, list(config.inputs), values=True)
    samples = samples[samples["split"] == "test"]
    old = Predictor(champion, config.engine.device).predict(as_table(samples, config.inputs))
    names = [f"probability_{name}" for name in dataset.classes]
    targets = target_indices(challenger, dataset.classes)
    new = challenger[names].to_numpy()
    known = old.reindex(columns=names).fillna(0.0).to_numpy()
    known = np.clip(known, 1e-12, None)  # classes that the champion does not know
    known = known / known.sum(axis=1, keepdims=True)

    metric = rule.metric or config.evaluation.metric
    gain = paired_gain(
        targets,
        new,
        known,
        metric,
        config.evaluation.bootstrap,
        rule.confidence,
        seed_of(config.seed, "promotion"),
    )
    promote = gain.low > rule.min_gain
    reason = (
        f"{metric} {'better' if promote else 'not shown to be better'} than {champion_name} on the same "
        f"{len(targets)} test rows: gain {gain.value:+.4f}, {rule.confidence:.0%} interval "
        f"[{gain.low:+.4f}, {gain.high:+.4f}], required above {rule.min_gain:g}"
    )
    return Verdict(promote, reason, gain)
