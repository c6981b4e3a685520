"""Looks into some test rows: what each input brought, and what was decisive inside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.config.pipeline import PipelineConfig
from components.data.examples import as_table
from components.data.samples import read_samples
from components.explanations import EXPLAINERS, Score
from components.explanations.results import ExplainedSample, Explanations, Inside, SampleKind
from components.inference.attribution import share_columns, subset_predictions
from components.inference.cells import cells_by_column
from components.inference.predictor import Part, Predictor, predictions_of
from components.references import Dataset
from components.targets import AnyTarget, Multilabel, Regression, cells_of, known_rows
from components.targets.target import FloatArray


@dataclass(frozen=True)
class Explained:
    """One row.

    Attributes:
        answer: (1, P), with all inputs that the row has.
        shares: By input: exact Shapley values.
        without: By input that is there: what the answer loses when it is taken away.
        inside: The parts of those inputs.
    """

    answer: FloatArray
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
    """Explain the answers about the primary target for the worst rows and for as many typical right ones.

    The model is asked in the way in which users ask it, with a few copies of one row at a time.

    Args:
        dataset: Reference to the samples.
        bundle: The delivered model.
        predictions: Of the test rows, from :func:`components.pipeline.evaluate.judge`.
        config: The whole pipeline; ``evaluation.explanations.samples`` is at least 1.
        progress: Told how many rows of how many are done, and the newest.
    """
    options, target = config.evaluation.explanations, dataset.targets.primary
    samples = read_samples(dataset, list(config.inputs), values=True)
    samples = samples[samples["split"] == "test"].reset_index(drop=True)
    encoded = dataset.targets.encode(samples)[target.name]
    values, known = encoded.numpy(), known_rows(encoded).numpy()
    made = predictions_of(target, predictions, several=len(dataset.targets) > 1)
    chosen = choose_rows(target, values, made, known, options.samples)
    words = cells_of(samples, target.name)
    predictor = Predictor(bundle, config.engine.device)
    found: list[ExplainedSample] = []
    for row, kind in chosen:
        sample = samples.iloc[[row]]
        explained = explain_row(predictor, target, as_table(sample, config.inputs), options.detail)
        found.append(
            ExplainedSample(
                id=str(sample["id"].iloc[0]),
                kind=kind,
                label=str(words[row]),
                predicted=target.labels(explained.answer)[0],
                probability=float(target.confidence(explained.answer)[0]),
                loss=float(target.row_losses(values[[row]], explained.answer)[0]),
                shares=explained.shares,
                without=explained.without,
                inside=explained.inside,
            )
        )
        progress(len(found), len(chosen), found[-1].id)
    return Explanations(target.name, target.task, tuple(config.inputs), tuple(found))


def choose_rows(
    target: AnyTarget, values: np.ndarray, predictions: FloatArray, known: NDArray[np.bool_], number: int
) -> list[tuple[int, SampleKind]]:
    """Positions of the rows of highest loss, and of right ones whose loss is nearest to their median.

    A number is never quite right or wrong: there all rows count as right.

    Args:
        target: What was predicted.
        values: Encoded, (N, ...).
        predictions: (N, P).
        known: (N,): rows that have the target.
        number: Of either kind, where there are as many.
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
    return [(int(rows[place]), kind) for places, kind in kinds for place in places]


def explain_row(predictor: Predictor, target: AnyTarget, table: pd.DataFrame, detail: int) -> Explained:
    """What the answer for one row rests on.

    Args:
        predictor: The delivered model.
        target: One of its targets.
        table: One row as users have it.
        detail: Most parts of an input.
    """
    bundle = predictor.bundle
    cells = {name: predictor.cells(table, name)[0] for name in predictor.inputs}
    arrays = {name: predictor.read(name, [cells[name]])[0] for name in predictor.inputs}
    parts = {name: predictor.embed(name, arrays[name], 1) for name in predictor.inputs}
    embeddings = predictor.join(parts)
    by_subset = subset_predictions(bundle.delivered, target, embeddings, predictor.inputs)
    shares = share_columns(bundle.delivered, target, by_subset, embeddings)
    answer = by_subset[predictor.inputs]
    without, inside = {}, {}
    for name, config in bundle.inputs.items():
        if arrays[name]:
            score = scorer(predictor, target, parts, name, answer)
            whole, none = score([arrays[name][0], None])
            without[name] = float(whole - none)
            by_column = cells_by_column(cells[name], config, predictor.files)
            inside[name] = EXPLAINERS[config.modality](score, bundle.preprocessors[name], by_column, detail)
    return Explained(
        answer=answer,
        shares={name: float(shares[f"share_{name}"][0]) for name in bundle.inputs},
        without=without,
        inside=inside,
    )


def scorer(
    predictor: Predictor, target: AnyTarget, parts: Mapping[str, Part], name: str, answer: FloatArray
) -> Score:
    """How far one row leans to its answer with other arrays in the place of one input.

    Args:
        predictor: The delivered model.
        target: One of its targets.
        parts: All inputs of the row.
        name: Of the input.
        answer: (1, P).
    """
    model = predictor.bundle.delivered
    others = {other: part for other, part in parts.items() if other != name}

    def score(arrays: Sequence[np.ndarray | None]) -> FloatArray:
        there = {place: array for place, array in enumerate(arrays) if array is not None}
        own = predictor.embed(name, there, len(arrays))
        same = {other: _repeated(part, len(arrays)) for other, part in others.items()}
        made = model.predict(target, predictor.join({name: own, **same}), predictor.inputs).numpy()
        return target.leaning(made, np.tile(answer, (len(arrays), 1)))

    return score


def _repeated(part: Part, count: int) -> Part:
    """One row of an input, ``count`` times."""
    single = part.single.expand(count, *part.single.shape[1:])
    fusion = single if part.fusion is part.single else part.fusion.expand(count, *part.fusion.shape[1:])
    return Part(single, fusion, part.present.expand(count))


def _right(target: AnyTarget, values: np.ndarray, predictions: FloatArray) -> NDArray[np.bool_]:
    match target:
        case Regression():
            return np.ones(len(values), dtype=bool)
        case Multilabel():
            return ((predictions >= 0.5) == (values > 0.5)).all(axis=1)
        case _:
            return predictions.argmax(axis=1) == values
