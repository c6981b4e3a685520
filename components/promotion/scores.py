"""Predictions of one of two models for the test rows, named as the challenger names inputs and targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from components.inference.predictor import Predictor, prediction_columns, predictions_of, threshold_columns
from components.promotion.rows import ModelRows
from components.targets import AnyTarget, Classification
from components.targets.target import FloatArray

_BATCH = 128  # rows whose embeddings are held at once


@dataclass(frozen=True)
class Scores:
    """Columns of predictions of the test rows, by the inputs that the model was given."""

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    predictions: Mapping[tuple[str, ...], pd.DataFrame]

    def of(self, target: AnyTarget, inputs: Sequence[str] | None = None) -> FloatArray:
        """Predictions (N, P) of a target that the model knows, with its thresholds."""
        chosen = self.inputs if inputs is None else tuple(inputs)
        scores = predictions_of(target, self.predictions[chosen], several=len(self.targets) > 1)  # (N, P)
        if isinstance(target, Classification):  # the model may not know all classes
            known = np.clip(target.without_thresholds(scores), 1e-12, None)
            scores = np.hstack([known / known.sum(axis=1, keepdims=True), scores[:, target.width :]])
        return scores


def score(
    model: Predictor,
    rows: ModelRows,
    asked: Sequence[tuple[str, ...]],
    inputs: Mapping[str, str],
    targets: Mapping[str, AnyTarget],
) -> Scores:
    """Score all rows with all inputs and with each of some subsets; every file is read once.

    Args:
        model: The model.
        rows: N test rows as it takes them.
        asked: Subsets of the inputs.
        inputs: Name of each input in ``asked`` and in the result, by the model's own name.
        targets: Each target with its name and classes in the result, by the model's own name.
    """
    own = {new: old for old, new in inputs.items()}
    names, order, count = tuple(own), list(model.inputs), len(next(iter(rows.tables.values())))
    parts: dict[tuple[str, ...], list[pd.DataFrame]] = {}
    for start in range(0, count, _BATCH):
        embeddings = model.embed(rows.read(model, slice(start, start + _BATCH)))
        present = embeddings.present.cpu().numpy()
        for subset in dict.fromkeys([names, *asked]):
            given = [own[name] for name in subset]
            answered = np.asarray(present[:, [order.index(name) for name in given]].any(axis=1))
            columns: dict[str, object] = {}
            for target in model.bundle.delivered.targets:
                predictions = model.bundle.delivered.answer(target, embeddings, given).numpy()
                quantiles = model.bundle.delivered.quantiles(target, embeddings, given)
                named = targets[target.name]
                prefix = f"{named.name}_" if len(targets) > 1 else ""
                made = prediction_columns(named, predictions, quantiles, answered)
                made |= threshold_columns(named, predictions)
                columns |= {f"{prefix}{column}": cells for column, cells in made.items()}
            parts.setdefault(subset, []).append(pd.DataFrame(columns))
    by_subset = {subset: pd.concat(frames, ignore_index=True) for subset, frames in parts.items()}
    return Scores(names, tuple(target.name for target in targets.values()), by_subset)
