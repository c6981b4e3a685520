"""Robustness curves of the delivered model, from damaged and incomplete copies of test rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from components.config import PipelineConfig
from components.data.examples import as_table
from components.data.parts import independent_parts
from components.data.samples import SampleRows, open_samples_table
from components.evaluation.results import Evaluation
from components.inference.predictor import Predictor
from components.preprocess.composite import first_part
from components.references import Dataset
from components.robustness.corruptions import corruptions
from components.robustness.curves import Scorer
from components.robustness.missing import zero_parts
from components.robustness.perturb import InputCorruption, concatenate, stress
from components.robustness.results import Robustness
from components.seeding import seed_of
from components.targets import known_rows

_BATCH = 128  # rows whose embeddings are held at once


def measure_robustness(
    dataset: Dataset,
    bundle: Path,
    evaluation: Evaluation,
    config: PipelineConfig,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> Robustness:
    """Damage each input in each way, hide inputs at random, and measure the model's predictions.

    Damaged values go through the model's own decoders, as users' values do. Memory is bounded by a batch of
    rows: one damaged file is held at a time, and the canonical form of the others.

    Args:
        evaluation: Evaluation of that model, with its metric and the validation of each input.
        config: The whole pipeline; ``evaluation.robustness.rows`` is at least 1.
        progress: Called with steps done, all steps, and a note about the newest.
    """
    options = config.evaluation.robustness
    seed = seed_of(config.seed, "robustness")
    samples = sample_rows(dataset, config)
    predictor = Predictor(bundle, config.engine.device)
    input_corruptions = find_corruptions(predictor, config) if options.severities else []
    names = predictor.inputs
    hidden = [names, *((name,) for name in config.inputs if len(names) > 1)]
    rates = [0.0, *options.missing_rates] if options.missing_rates else []
    zeros = zero_parts(predictor) if rates else {}

    starts = range(0, len(samples), _BATCH)
    total, done = len(starts) * (len(input_corruptions) + 1), 0

    def report(note: str) -> None:
        nonlocal done
        done += 1
        progress(done, total, note)

    batches = []
    for start in starts:
        rows = samples.iloc[start : start + _BATCH]
        batches.append(
            stress(
                predictor,
                as_table(rows, config.inputs),
                rows["id"].astype(str).tolist(),
                input_corruptions=input_corruptions,
                severities=options.severities,
                hidden=hidden,
                rates=rates,
                zeros=zeros,
                seed=seed,
                report=report,
            )
        )
    target = dataset.targets.primary
    values = dataset.targets.encode(samples)[target.name].numpy()
    parts = independent_parts(open_samples_table(dataset), samples, list(config.inputs))
    scorer = Scorer(target, names, values, concatenate(batches), evaluation, seed, parts)
    return Robustness(
        metric=evaluation.metric,
        confidence=evaluation.confidence,
        resamples=evaluation.resamples,
        seed=seed,
        rows=len(samples),
        test_rows=evaluation.rows["test"],
        inputs=tuple(config.inputs),
        corruptions=tuple(
            scorer.corruption(corruption.input, corruption.name, options.severities)
            for corruption in input_corruptions
            if scorer.has(corruption.input).any()
        ),
        missing=tuple(scorer.missing(inputs, rates) for inputs in hidden if rates),
    )


def sample_rows(dataset: Dataset, config: PipelineConfig) -> pd.DataFrame:
    """Draw at most ``evaluation.robustness.rows`` test rows that have the primary target, in their order."""
    table = open_samples_table(dataset)
    samples = table.rows()
    known = known_rows(dataset.targets.encode(samples)[dataset.targets.primary.name]).numpy()
    rows = np.flatnonzero((samples["split"] == "test") & known)
    rng = np.random.default_rng(seed_of(config.seed, "robustness", "rows"))
    chosen = rng.permutation(len(rows))[: config.evaluation.robustness.rows]
    return SampleRows(table, list(config.inputs), rows[np.sort(chosen)])[:]


def find_corruptions(predictor: Predictor, config: PipelineConfig) -> list[InputCorruption]:
    """Find every corruption that the configuration names and that fits an input."""
    wanted = config.evaluation.robustness.corruptions
    return [
        InputCorruption(name, kind, apply)
        for name, section in config.inputs.items()
        for kind, apply in corruptions(
            section.modality, _scales(predictor, name), _bits(predictor, name)
        ).items()
        if wanted is None or kind in wanted
    ]


def _bits(predictor: Predictor, name: str) -> int | None:
    """Look up the depth that an image input learned."""
    bits: int | None = first_part(predictor.bundle.preprocessors[name]).state().get("bits")
    return bits


def _scales(predictor: Predictor, name: str) -> dict[str, float]:
    """Look up the robust standard deviation in training of each numeric column."""
    if predictor.bundle.inputs[name].modality != "tabular":
        return {}
    learned = first_part(predictor.bundle.preprocessors[name]).state()["learned"]
    return {column: state["scale"] for column, state in learned.items() if state["type"] == "numeric"}
