"""Explanation of some test rows: the share of each input, and the decisive parts inside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.config import PipelineConfig
from components.data.examples import as_table
from components.data.samples import open_samples_table
from components.data.values import cells_by_column
from components.explanations import EXPLAINERS, Score
from components.explanations.parts import taken_away
from components.explanations.results import ExplainedSample, Explanations, Inside, SampleKind
from components.inference.attribution import share_columns, subset_predictions
from components.inference.ensemble import Embeddings
from components.inference.predictor import Predictor, predictions_of
from components.references import Dataset
from components.targets import AnyTarget, FloatArray, Multilabel, Regression, cells_of, known_rows


@dataclass(frozen=True)
class Explained:
    """Explanation of one row.

    Attributes:
        prediction: (1, P), from all inputs that the row has.
        shares: Exact Shapley value of each input.
        without: Loss of the prediction when a present input is taken away, by input.
        inside: Effects of the parts of those inputs.
    """

    prediction: FloatArray
    shares: dict[str, float]
    without: dict[str, float]
    inside: dict[str, Inside]


def explain_samples(
    dataset: Dataset,
    bundle: Path,
    predictions: pd.DataFrame,
    config: PipelineConfig,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> Explanations:
    """Explain predictions of the primary target: for the worst rows and as many typical right ones.

    The model reads the rows as users give them, a few copies of one row at a time.

    Args:
        predictions: Predictions for the test rows, from :func:`components.pipeline.evaluate.evaluate_model`.
        config: The whole pipeline; ``evaluation.explanations.samples`` is at least 1.
        progress: Called with rows done, rows to do, and the id of the newest.
    """
    options, target = config.evaluation.explanations, dataset.targets.primary
    samples = open_samples_table(dataset).split("test", list(config.inputs), values=True)
    encoded = dataset.targets.encode(samples)[target.name]
    values, known = encoded.numpy(), known_rows(encoded).numpy()
    made = predictions_of(target, predictions, several=len(dataset.targets) > 1)
    chosen = choose_rows(target, values, made, known, options.samples)
    words = cells_of(samples, target.name)
    predictor = Predictor(bundle, config.engine.device)
    done: list[ExplainedSample] = []
    for row, kind in chosen:
        sample = samples.iloc[[row]]
        explained = explain_row(predictor, target, as_table(sample, config.inputs), options.detail)
        done.append(
            ExplainedSample(
                id=str(sample["id"].iloc[0]),
                kind=kind,
                label=str(words[row]),
                predicted=target.labels(explained.prediction)[0],
                probability=float(target.confidence(explained.prediction)[0]),
                loss=float(target.row_losses(values[[row]], explained.prediction)[0]),
                shares=explained.shares,
                without=explained.without,
                inside=explained.inside,
            )
        )
        progress(len(done), len(chosen), done[-1].id)
    return Explanations(target.name, target.task, tuple(config.inputs), tuple(done))


def choose_rows(
    target: AnyTarget, values: np.ndarray, predictions: FloatArray, known: NDArray[np.bool_], number: int
) -> list[tuple[int, SampleKind]]:
    """Choose the rows of highest loss, and right ones whose loss is nearest to their median.

    A number is never quite right or wrong, so all rows of a regression count as right.

    Args:
        values: (N, ...), encoded.
        predictions: (N, P).
        known: (N,) bool: rows that have the target.
        number: Most rows of either kind.

    Returns:
        Position and kind of each row.
    """
    rows = np.flatnonzero(known)
    losses = target.row_losses(values[rows], predictions[rows])
    worst = np.argsort(-losses, kind="stable")[:number]
    right = _right(target, values[rows], predictions[rows])
    right[worst] = False
    typical = np.flatnonzero(right)
    if len(typical):
        nearest = np.argsort(np.abs(losses[typical] - np.median(losses[typical])), kind="stable")
        typical = typical[nearest[:number]]
    kinds: list[tuple[np.ndarray, SampleKind]] = [(worst, "worst"), (typical, "typical")]
    return [(int(row), kind) for positions, kind in kinds for row in rows[positions]]


def explain_row(predictor: Predictor, target: AnyTarget, table: pd.DataFrame, detail: int) -> Explained:
    """Explain the prediction for one row.

    Args:
        table: One row as users have it.
        detail: Most parts of an input.
    """
    bundle = predictor.bundle
    rows = predictor.read(table)
    embeddings = predictor.embed(rows)
    by_subset = subset_predictions(bundle.delivered, target, embeddings, predictor.inputs)
    shares = share_columns(bundle.delivered, target, by_subset, embeddings)
    prediction = by_subset[predictor.inputs]
    without, inside = {}, {}
    for name, config in bundle.inputs.items():
        if arrays := rows.inputs[name].arrays:
            score = scorer(predictor, target, embeddings, name, prediction)
            without[name] = taken_away(score, arrays[0])
            cells = predictor.cells(table, name)[0]
            by_column = cells_by_column(cells, config, bundle.spellings, predictor.files)
            inside[name] = EXPLAINERS[config.modality](score, bundle.preprocessors[name], by_column, detail)
    return Explained(
        prediction=prediction,
        shares={name: float(shares[f"share_{name}"][0]) for name in bundle.inputs},
        without=without,
        inside=inside,
    )


def scorer(
    predictor: Predictor, target: AnyTarget, embeddings: Embeddings, name: str, prediction: FloatArray
) -> Score:
    """Make a score: the row's leaning to its prediction with other arrays for one input.

    Args:
        embeddings: Embeddings of all inputs of the row.
        prediction: (1, P).
    """
    model = predictor.bundle.delivered

    def score(arrays: Sequence[np.ndarray | None]) -> FloatArray:
        count = len(arrays)
        given = {row: array for row, array in enumerate(arrays) if array is not None}
        repeated = {other: each.repeat(count) for other, each in embeddings.inputs.items() if other != name}
        changed = Embeddings.of({**repeated, name: predictor.embed_input(name, given, count)})
        predictions = model.predict(target, changed, predictor.inputs).numpy()
        return target.leaning(predictions, np.tile(prediction, (count, 1)))

    return score


def _right(target: AnyTarget, values: np.ndarray, predictions: FloatArray) -> NDArray[np.bool_]:
    match target:
        case Regression():
            return np.ones(len(values), dtype=bool)
        case Multilabel():
            return (target.decide(predictions) == (values > 0.5)).all(axis=1)
        case _:
            return target.decide(predictions) == values
