"""Evaluation of the delivered model on the test rows, which no earlier step has used."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.config import PipelineConfig
from components.data.samples import SampleRows, input_value, open_samples_table
from components.evaluation.evaluate import CandidatePredictions, DeliveredPredictions, evaluate
from components.evaluation.media import Media, media_of
from components.evaluation.results import BalanceResult, Curve, Evaluation, LearnerResult
from components.inference.attribution import Predictions, share_columns, subset_predictions
from components.inference.bundle import load_bundle
from components.inference.ensemble import AVERAGE, ENSEMBLE, FUSION, LATE, TREES, CandidateEnsemble
from components.inference.predictor import prediction_columns, threshold_columns
from components.pipeline.package import OpenedSplit, SelectionRows, open_split
from components.references import Dataset, Features, FusedModel, Single
from components.seeding import seed_of
from components.targets import PREFIX, AnyTarget, cells_of, higher_is_better, known_rows, metric
from components.training.checkpoint import read_history
from components.training.loop import best_epoch


@dataclass(frozen=True)
class ModelEvaluation:
    """Evaluations and the predictions that they rest on.

    Attributes:
        evaluations: Everything that the report shows, of each target, the primary one first.
        predictions: One row a test sample: id, ``target.<column>`` of every target, and the columns of
            :meth:`components.inference.predictor.Predictor.predict`, those that explain among them.
        curves: Trainings, where they are to be shown.
    """

    evaluations: tuple[Evaluation, ...]
    predictions: pd.DataFrame
    curves: tuple[Curve, ...] = ()


def evaluate_model(
    dataset: Dataset,
    selection: SelectionRows,
    features: Mapping[str, Features],
    fused: FusedModel | None,
    bundle: Path,
    config: PipelineConfig,
    singles: Mapping[str, Single] = MappingProxyType({}),
) -> ModelEvaluation:
    """Evaluate every candidate and the delivered model on test.

    Args:
        dataset: Reference to the samples.
        selection: Rows of the choice, as :func:`components.pipeline.package.package_model` gave them.
        features: Embeddings by input.
        fused: The fusion; None with a single input.
        bundle: The delivered model.
        config: The whole pipeline.
        singles: The fits of the single inputs, which say what several encoders of an input were worth.
    """
    names = list(config.inputs)
    model = load_bundle(bundle).delivered
    test = open_split(dataset, "test", features, fused)

    table = pd.DataFrame({"id": test.samples["id"]})
    evaluations = []
    answered = test.embeddings.present.any(1).numpy()
    for target in model.targets:
        table[f"{PREFIX}{target.name}"] = cells_of(test.samples, target.name)
        by_subset = subset_predictions(model, target, test.embeddings, names)
        quantiles = model.quantiles(target, test.embeddings, names)
        answers = prediction_columns(target, by_subset[tuple(names)], quantiles, answered)
        answers |= threshold_columns(target, by_subset[tuple(names)])
        answers |= share_columns(model, target, by_subset, test.embeddings)
        prefix = f"{target.name}_" if len(model.targets) > 1 else ""
        for column, values in answers.items():
            table[f"{prefix}{column}"] = values
        evaluation = _evaluate(target, model, selection, test, by_subset, config)
        evaluation = evaluation.with_media(_media(dataset, evaluation, config))
        evaluations.append(replace(evaluation, learners=_learners(singles, target.name)))
    return ModelEvaluation(tuple(evaluations), table)


def _learners(singles: Mapping[str, Single], target: str) -> tuple[LearnerResult, ...]:
    """List what several encoders of an input were worth for one target."""
    return tuple(
        LearnerResult(
            input=name,
            name=each.label.removeprefix(f"{name} "),
            metric=each.metrics[target],
            weight=each.weights.get(target),
            seconds=math.nan if each.seconds is None else each.seconds,
        )
        for name, single in singles.items()
        for each in single.learners
    )


def training_folders(singles: Mapping[str, Single], fused: FusedModel | None) -> dict[str, str]:
    """List the folders of the trainings of a model by name; a probe has none."""
    folders = {}
    for name, each in singles.items():
        if each.training is not None and not each.learners:
            folders[name] = each.training.folder
        folders |= {own.label: own.training for own in each.learners if own.training is not None}
    return folders if fused is None else {**folders, fused.training.name: fused.training.folder}


def read_curves(folders: Mapping[str, str], metric: str) -> tuple[Curve, ...]:
    """Read the curves of trainings, except those of one pass.

    Args:
        folders: Folder of each training by name.
        metric: Metric of the primary target.
    """
    curves = []
    for name, folder in folders.items():
        history = read_history(folder)
        if len(history) > 1:
            losses, values = ([getattr(epoch, key) for epoch in history] for key in ("train_loss", "metric"))
            curves.append(Curve(name, tuple(losses), tuple(values), best_epoch(history, metric).epoch))
    return tuple(curves)


def _evaluate(
    target: AnyTarget,
    model: CandidateEnsemble,
    val: SelectionRows,
    test: OpenedSplit,
    by_subset: Predictions,
    config: PipelineConfig,
) -> Evaluation:
    """One target, on the rows that have it."""
    names = list(config.inputs)
    in_val = known_rows(val.values[target.name]).numpy()
    in_test = known_rows(test.values[target.name]).numpy()

    def predictions(kind: str, inputs: tuple[str, ...], candidate: str) -> CandidatePredictions:
        return CandidatePredictions(
            kind=kind,  # type: ignore[arg-type]  # one of its words
            inputs=inputs,
            validation=model.answer(target, val.predicted, names, candidate).numpy()[in_val],
            test=model.answer(target, test.embeddings, names, candidate).numpy()[in_test],
        )

    candidates = {name: predictions("single", (name,), name) for name in names}
    if model.fused is not None:
        candidates[AVERAGE] = predictions("average", tuple(names), AVERAGE)
        if model.late is not None:
            candidates[LATE] = predictions("late", tuple(names), LATE)
        if model.trees is not None:
            candidates[TREES] = predictions("trees", tuple(names), TREES)
        candidates[FUSION] = predictions("fusion", tuple(names), FUSION)
        candidates[ENSEMBLE] = predictions("ensemble", tuple(names), ENSEMBLE)

    choice = model.choices[target.name].candidate
    chosen = choice[model.inputs]
    delivered = DeliveredPredictions(
        candidate=chosen,
        validation=model.answer(target, val.predicted, names).numpy()[in_val],
        uncalibrated=model.predict(target, test.embeddings, names, calibrated=False).numpy()[in_test],
        temperature=model.temperature(target, chosen, model.inputs),
        subsets={subset: made[in_test] for subset, made in by_subset.items()},
        answering={subset: choice[tuple(sorted(subset))] for subset in by_subset},
        quantiles=model.quantiles(target, test.embeddings, names)[in_test],
        having=[
            tuple(name for name, has in zip(model.inputs, row, strict=True) if has)
            for row in test.embeddings.present.numpy()[in_test]
        ],
        calibrated=model.choices[target.name].calibrated,
        thresholds=model.delivered_thresholds(target),
    )
    return evaluate(
        target=target,
        inputs=names,
        values_val=val.values[target.name].numpy()[in_val],
        values_test=test.values[target.name].numpy()[in_test],
        present_test={
            name: test.embeddings.present[:, column].numpy()[in_test]
            for column, name in enumerate(model.inputs)
        },
        parts_test=test.parts[in_test],
        ids_test=test.samples["id"][in_test].tolist(),
        words_test=[str(cell) for cell in cells_of(test.samples[in_test], target.name)],
        candidates=candidates,
        delivered=delivered,
        prior=model.prior_prediction(target).numpy(),
        balance=_balance(target, model, val, in_val),
        warn_below=config.balance.warn_below,
        coverage=config.evaluation.coverage,
        resamples=config.evaluation.bootstrap,
        confidence=config.evaluation.confidence,
        seed=seed_of(config.seed, "bootstrap"),
        worst_samples=config.evaluation.worst_samples,
        times_test=None if test.times is None else test.times[in_test],
    )


def _balance(
    target: AnyTarget, model: CandidateEnsemble, val: SelectionRows, known: NDArray[np.bool_]
) -> dict[str, BalanceResult]:
    """Each input alone, inside the fused model and in its own fit, on the rows that have it."""
    if model.fused is None:
        return {}
    balance = {}
    for column, name in enumerate(model.inputs):
        rows = val.predicted.present[:, column].numpy() & known
        if not rows.any():
            continue
        values = val.values[target.name].numpy()[rows]

        def score(predictions: np.ndarray, values: np.ndarray = values) -> float:
            return metric(target, target.metric, values, predictions)

        solo = score(model.answer(target, val.predicted, (name,), name).numpy()[rows])
        inside = score(model.answer(target, val.predicted, (name,), FUSION).numpy()[rows])
        prior = score(np.tile(model.prior_prediction(target).numpy(), (len(values), 1)))
        solo_gain = solo - prior if higher_is_better(target.metric) else prior - solo
        inside_gain = inside - prior if higher_is_better(target.metric) else prior - inside
        balance[name] = BalanceResult(
            solo, inside, prior, inside_gain / solo_gain if solo_gain > 0 else math.nan
        )
    return balance


def _media(dataset: Dataset, evaluation: Evaluation, config: PipelineConfig) -> dict[str, dict[str, Media]]:
    """Make small copies of the media of the shown samples, by id and input."""
    table, ids = open_samples_table(dataset), {sample.id for sample in evaluation.samples}
    shown = np.array([row for row, id in enumerate(table.column("id")) if id in ids], dtype=np.int64)
    wanted = SampleRows(table, list(config.inputs), shown)[:]
    return {
        row["id"]: {
            name: media_of(options.modality, input_value(row, name, options))  # type: ignore[arg-type]
            for name, options in config.inputs.items()
            if not pd.isna(row[f"{name}.digest"])
        }
        for row in wanted.to_dict("records")
    }
