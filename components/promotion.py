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
from components.predictor import Predictor, predictions_of
from components.samples import read_samples
from components.targets import Classification, known_rows
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
    old = Predictor(champion, config.engine.device)
    target = dataset.targets.primary
    if target.name not in [known.name for known in old.bundle.delivered.targets]:
        return Verdict(True, f"{champion_name} does not predict {target.name!r}")
    values = dataset.targets.encode(samples)[target.name]
    rows = known_rows(values).numpy()
    answers = old.predict(as_table(samples, config.inputs))
    new = predictions_of(target, challenger, several=len(dataset.targets) > 1)[rows]
    known = predictions_of(target, answers, several=len(old.bundle.delivered.targets) > 1)[rows]
    if isinstance(target, Classification):  # it may not know all classes
        known = np.clip(known, 1e-12, None)
        known = known / known.sum(axis=1, keepdims=True)

    metric = rule.metric or target.metric
    gain = paired_gain(
        target,
        values.numpy()[rows],
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
        f"{rows.sum()} test rows: gain {gain.value:+.4f}, {rule.confidence:.0%} interval "
        f"[{gain.low:+.4f}, {gain.high:+.4f}], required above {rule.min_gain:g}"
    )
    return Verdict(promote, reason, gain)
