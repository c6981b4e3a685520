"""Predictions of the delivered model for damaged and for incomplete copies of some rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from components.data.values import read_cells
from components.errors import DataError
from components.inference.ensemble import AVERAGE, Embeddings, InputEmbeddings, Subset
from components.inference.predictor import Predictor
from components.robustness.corruptions import Corruption, corrupt
from components.robustness.missing import draws, imputed

DELIVERED = "delivered"
ByCandidate = dict[str, np.ndarray]
Damage = tuple[str, str, int]  # input, corruption, severity
Hiding = tuple[Subset, float]  # inputs that may be hidden, rate


@dataclass(frozen=True)
class InputCorruption:
    """One corruption of one input; `apply` damages a value."""

    input: str
    name: str
    apply: Corruption


@dataclass(frozen=True)
class StressPredictions:
    """Predictions (N, P) of the primary target for N rows.

    Attributes:
        present: (N, M) bool, in the order of the predictor's inputs.
        clean: Predictions for undamaged rows by the delivered model, each input, and the average.
        damaged: Predictions for damaged rows by the delivered model, the damaged input, and the average.
        masked: Predictions for incomplete rows by the delivered model.
        imputed: Predictions for incomplete rows with zeros in the gaps, by the delivered model.
        left: (N, M) bool: inputs that incomplete rows still have.
    """

    present: np.ndarray
    clean: ByCandidate
    damaged: dict[Damage, ByCandidate]
    masked: dict[Hiding, np.ndarray]
    imputed: dict[Hiding, np.ndarray]
    left: dict[Hiding, np.ndarray]


def stress(
    predictor: Predictor,
    table: pd.DataFrame,
    ids: Sequence[str],
    *,
    input_corruptions: Sequence[InputCorruption],
    severities: Sequence[int],
    hidden: Sequence[Subset],
    rates: Sequence[float],
    zeros: Mapping[str, InputEmbeddings],
    seed: int,
    report: Callable[[str], None],
) -> StressPredictions:
    """Predict one batch of rows, undamaged, damaged and incomplete.

    Args:
        table: Rows as users have them.
        input_corruptions, severities: Damage, one input at a time.
        hidden, rates: Sets of inputs to hide, and the chances to hide them with.
        zeros: Zeros of each input, from :func:`components.robustness.missing.zero_parts`.
        report: Called with a note, once per corruption and once after the rest.
    """
    embeddings = predictor.embed(predictor.read(table))
    inputs = embeddings.inputs
    predictions = StressPredictions(
        present=embeddings.present.cpu().numpy(),
        clean=_predict(predictor, embeddings, predictor.inputs),
        damaged={},
        masked={},
        imputed={},
        left={},
    )
    for corruption in input_corruptions:
        cells = predictor.cells(table, corruption.input)
        for severity in severities:
            copies = _damaged(predictor, corruption, severity, cells, ids, seed)
            arrays = predictor.read_input(corruption.input, copies).arrays
            damaged = predictor.embed_input(corruption.input, arrays, len(ids))
            worse = Embeddings.of({**inputs, corruption.input: damaged})
            predictions.damaged[corruption.input, corruption.name, severity] = _predict(
                predictor, worse, [corruption.input]
            )
        report(f"{corruption.name} on {corruption.input}")

    chances = draws(ids, predictor.inputs, seed)  # (N, M)
    for names in hidden:
        may = np.isin(predictor.inputs, names)
        for rate in rates:
            left = predictions.present & ~(may & (chances < rate))  # (N, M)
            mask = torch.from_numpy(left)
            gaps = replace(embeddings, present=mask.to(predictor.device))
            filled = {
                name: imputed(inputs[name], zeros[name], mask[:, column])
                for column, name in enumerate(predictor.inputs)
            }
            predictions.left[names, rate] = left
            predictions.masked[names, rate] = _predict(predictor, gaps)[DELIVERED]
            predictions.imputed[names, rate] = _predict(predictor, Embeddings.of(filled))[DELIVERED]
    report("missing inputs")
    return predictions


def concatenate(batches: Sequence[StressPredictions]) -> StressPredictions:
    """Put the predictions of all batches one after the other."""
    first = batches[0]
    return StressPredictions(
        present=np.concatenate([batch.present for batch in batches]),
        clean=_together([batch.clean for batch in batches]),
        damaged={key: _together([batch.damaged[key] for batch in batches]) for key in first.damaged},
        masked=_together([batch.masked for batch in batches]),
        imputed=_together([batch.imputed for batch in batches]),
        left=_together([batch.left for batch in batches]),
    )


def _together(parts: Sequence[dict[Any, np.ndarray]]) -> dict[Any, np.ndarray]:
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _predict(predictor: Predictor, embeddings: Embeddings, singles: Sequence[str] = ()) -> ByCandidate:
    """Predict with the delivered model and, where single inputs are named, with those and the average."""
    model = predictor.bundle.delivered
    others = [*singles, *([AVERAGE] if singles and len(model.inputs) > 1 else [])]
    target = model.targets.primary
    return {
        DELIVERED: model.answer(target, embeddings, model.inputs).numpy(),
        **{name: model.answer(target, embeddings, model.inputs, name).numpy() for name in others},
    }


def _damaged(
    predictor: Predictor,
    corruption: InputCorruption,
    severity: int,
    rows: Sequence[Mapping[Any, Any]],
    ids: Sequence[str],
    seed: int,
) -> Iterator[Mapping[Any, Any]]:
    """Damage the cells of the input, one row at a time; cells that cannot be damaged stay as they are."""
    config = predictor.bundle.inputs[corruption.input]
    for key, cells in zip(ids, rows, strict=True):
        try:
            value = read_cells(cells, config, predictor.bundle.spellings)
            items: list[Any] = value if isinstance(value, list) else [value]
            damaged = [
                corrupt(
                    corruption.apply, corruption.name, item, severity, seed=seed, sample=f"{key}/{number}"
                )
                for number, item in enumerate(items)
            ]
        except (DataError, OSError, ValueError):  # as the model cannot read it either
            yield cells
            continue
        yield damaged[0] if isinstance(damaged[0], dict) else dict(zip(config.columns, damaged, strict=False))
