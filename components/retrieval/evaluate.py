"""Judges search across modalities on the test rows, which nothing before has looked at."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np

from components.config.pipeline import PipelineConfig
from components.data.samples import open_samples_table
from components.models.projections import Aligned
from components.references import Dataset, Features
from components.retrieval.gallery import project
from components.retrieval.results import Retrieval, Retrievals, retrieval
from components.seeding import seed_of
from components.targets import Classification


def judge_retrieval(
    dataset: Dataset,
    features: Mapping[str, Features],
    aligned: Aligned,
    config: PipelineConfig,
    split: str = "test",
) -> Retrievals:
    """Search from every input to every other among the rows of a split.

    Twice where the primary target has classes: for the input of the same row, and for that of any row of
    the same class.

    Args:
        dataset: Reference to the samples.
        features: Embeddings by input.
        aligned: Projections of these embeddings.
        config: The whole pipeline; it has an ``alignment``.
        split: Whose rows are queries and gallery.
    """
    options, judged = config.alignment, config.evaluation
    assert options is not None
    seed = seed_of(config.seed, "retrieval")
    samples = open_samples_table(dataset).split(split, list(features))
    there = {name: samples[f"{name}.digest"].notna().to_numpy() for name in features}
    space = {name: project(samples, name, feature, aligned) for name, feature in features.items()}
    labels = {"row": np.arange(len(samples))}
    target = dataset.targets.primary
    if isinstance(target, Classification):  # an ordered scale is one, too
        labels["class"] = dataset.targets.encode(samples)[target.name].numpy()

    found: list[Retrieval | None] = []
    for query, gallery in permutations(features, 2):
        for right, label in labels.items():
            asked, searched = there[query] & (label >= 0), there[gallery] & (label >= 0)
            found.append(
                retrieval(
                    query,
                    gallery,
                    right,
                    space[query][asked],
                    space[gallery][searched],
                    label[asked],
                    label[searched],
                    resamples=judged.bootstrap,
                    confidence=judged.confidence,
                    seed=seed,
                )
            )
    return Retrievals(
        objective=options.objective.name,
        use=options.use,
        width=options.width,
        split=split,
        confidence=judged.confidence,
        resamples=judged.bootstrap,
        seed=seed,
        each=tuple(result for result in found if result is not None),
    )
