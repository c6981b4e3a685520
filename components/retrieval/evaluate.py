"""Evaluation of search across modalities on the test rows, which no earlier step has used."""

from collections.abc import Mapping
from itertools import permutations

import numpy as np

from components.config import PipelineConfig
from components.data.parts import independent_parts
from components.data.samples import open_samples_table
from components.models.projections import Aligned
from components.references import Dataset, Features
from components.retrieval.gallery import project
from components.retrieval.results import Retrieval, Retrievals, retrieval
from components.seeding import seed_of
from components.targets import Classification


def evaluate_retrieval(
    dataset: Dataset,
    features: Mapping[str, Features],
    aligned: Aligned,
    config: PipelineConfig,
    split: str = "test",
) -> Retrievals:
    """Search from every input to every other among the rows of a split.

    Right is the input of the same row. Where the primary target has classes, a second search counts the
    input of any row of the same class as right.

    Args:
        features: Embeddings by input.
        aligned: Projections of these embeddings.
        config: The whole pipeline; it has an ``alignment``.
        split: Split whose rows are queries and gallery.
    """
    options, evaluation = config.alignment, config.evaluation
    assert options is not None
    seed = seed_of(config.seed, "retrieval")
    table = open_samples_table(dataset)
    samples = table.split(split, list(features))
    parts = independent_parts(table, samples, list(features))
    present = {name: samples[f"{name}.digest"].notna().to_numpy() for name in features}
    space = {name: project(samples, name, feature, aligned) for name, feature in features.items()}
    labels = {"row": np.arange(len(samples))}
    target = dataset.targets.primary
    if isinstance(target, Classification):  # or an ordered scale, its subclass
        labels["class"] = dataset.targets.encode(samples)[target.name].numpy()

    results: list[Retrieval | None] = []
    for query, gallery in permutations(features, 2):
        for right, label in labels.items():
            asked, searched = present[query] & (label >= 0), present[gallery] & (label >= 0)
            results.append(
                retrieval(
                    query,
                    gallery,
                    right,
                    space[query][asked],
                    space[gallery][searched],
                    label[asked],
                    label[searched],
                    parts=parts[asked],
                    resamples=evaluation.bootstrap,
                    confidence=evaluation.confidence,
                    seed=seed,
                )
            )
    return Retrievals(
        objective=options.objective.name,
        use=options.use,
        width=options.width,
        split=split,
        confidence=evaluation.confidence,
        resamples=evaluation.bootstrap,
        seed=seed,
        each=tuple(result for result in results if result is not None),
    )
