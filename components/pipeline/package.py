"""From trained parts to the delivered model: calibrate, choose on validation, write the bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.config import PipelineConfig
from components.config.targets import ClassificationTarget, MultilabelTarget, Threshold
from components.data.parts import Parts, independent_parts
from components.data.samples import load_embeddings, open_samples_table, presence
from components.inference.bundle import Searchable, save_bundle
from components.inference.ensemble import (
    FUSION,
    LATE,
    TREES,
    CandidateEnsemble,
    Embeddings,
    Predicted,
    Subset,
)
from components.inference.learned_rows import learned_rows, read_learned
from components.inference.out_of_fold import out_of_fold_table
from components.inference.selection import calibrate_and_choose
from components.models.fusion import build_fusion
from components.models.networks import Fused
from components.models.weights import read_tensors
from components.monitoring.reference import HELD_OUT, draw_reference, make_reference
from components.pipeline.align import open_aligned
from components.pipeline.folds import gives_rows_back
from components.pipeline.fuse import training_prior, with_trees
from components.pipeline.unseen import UnseenRows, open_unseen
from components.references import Dataset, Features, FusedModel, OutOfFold, Prepared, Single, Trained
from components.retrieval.gallery import make_gallery
from components.targets import Head, Targets
from components.training.stack import held_out, stack


@dataclass(frozen=True)
class OpenedSplit:
    """The rows of one split, in memory.

    Attributes:
        samples: N rows of the samples table.
        embeddings: Embeddings of these rows.
        values: Encoded values (N, ...) by target.
        times: (N,) times of the rows; None where they have none.
        parts: (N,) number of the independent part of each row.
    """

    samples: pd.DataFrame
    embeddings: Embeddings
    values: dict[str, Tensor]
    times: NDArray[np.datetime64] | None
    parts: Parts


@dataclass(frozen=True)
class SelectionRows:
    """Rows by which the delivered model was calibrated and chosen; no candidate has learned from them.

    Attributes:
        samples: N rows of the samples table.
        predicted: Natural parameters of every candidate.
        values: Encoded values (N, ...) by target.
    """

    samples: pd.DataFrame
    predicted: Predicted
    values: dict[str, Tensor]


def open_split(
    dataset: Dataset, split: str, features: Mapping[str, Features], fused: FusedModel | None
) -> OpenedSplit:
    """Read samples, embeddings and values of the targets of one split."""
    table = open_samples_table(dataset)
    samples, times = table.split(split, list(features)), table.times()
    return OpenedSplit(
        samples,
        open_rows(samples, features, fused),
        dataset.targets.encode(samples),
        None if times is None else times[table.column("split").equals(split)],
        independent_parts(table, samples, list(features)),
    )


def open_rows(
    samples: pd.DataFrame, features: Mapping[str, Features], fused: FusedModel | None
) -> Embeddings:
    """Load the embeddings of some rows of the samples table."""
    single = {name: load_embeddings(samples, name, feature) for name, feature in features.items()}
    fusion = single
    if fused is not None and any(fused.features[name].store != features[name].store for name in features):
        fusion = {name: load_embeddings(samples, name, feature) for name, feature in fused.features.items()}
    return Embeddings(single, fusion, torch.from_numpy(presence(samples, list(features))))


def package_model(
    dataset: Dataset,
    prepared: Mapping[str, Prepared],
    singles: Mapping[str, Single],
    features: Mapping[str, Features],
    unseen: Mapping[str, OutOfFold],
    fused: FusedModel | None,
    fused_folds: Sequence[FusedModel],
    trees: Sequence[FusedModel],
    config: PipelineConfig,
    folder: Path,
    aligned: Trained | None = None,
    teacher: Path | None = None,
) -> SelectionRows:
    """Put the candidates together, calibrate them, choose among them and write the bundle.

    Args:
        dataset: Reference to the samples.
        prepared, singles, features: By input.
        unseen: The training rows out of fold, by input; empty without folds.
        fused: The fusion; None with a single input.
        fused_folds: The fusion trained without each fold; empty without folds, and for late fusion.
        trees: Trees beside the fusion, and those without each fold; empty where there are none.
        config: The whole pipeline.
        folder: Folder of the bundle.
        aligned: Projections for search, of the features that the fusion takes.
        teacher: Bundle of the model that taught this one, which has thereby learned from its rows too.

    Returns:
        The rows by which the choice was made.
    """
    model, selection = assemble(dataset, singles, features, unseen, fused, fused_folds, trees, config)
    reference = None
    if config.monitoring.rows:
        splits = ("test",) if gives_rows_back(config, bool(unseen)) else HELD_OUT
        rows = draw_reference(dataset, config, splits)
        reference = make_reference(dataset, rows, open_rows(rows, features, fused), prepared, model, config)
    save_bundle(
        folder,
        delivered=model,
        inputs=config.inputs,
        fusion=config.fusion,
        prepared=prepared,
        single={name: single.encoder for name, single in singles.items()},
        fused={} if fused is None else {name: feature.encoder for name, feature in fused.features.items()},
        facts={
            "name": config.name,
            "seed": config.seed,
            "quality": config.quality,
            "dataset": dataset.digest,
        },
        spellings=dataset.spellings,
        search=None if aligned is None else _search(dataset, fused, aligned, config),
        sample=reference,
        learned=[
            learned_rows(dataset, config, uses_unlabelled(config, teacher)),
            *(() if teacher is None else read_learned(teacher)),
        ],
        out_of_fold=out_of_fold_table(model, selection.samples, selection.predicted) if unseen else None,
    )
    return selection


def uses_unlabelled(config: PipelineConfig, teacher: Path | None) -> bool:
    """Tell whether a model has learned from rows without a target: by alignment, or from a teacher."""
    return teacher is not None or config.alignment is not None


def assemble(
    dataset: Dataset,
    singles: Mapping[str, Single],
    features: Mapping[str, Features],
    unseen: Mapping[str, OutOfFold],
    fused: FusedModel | None,
    fused_folds: Sequence[FusedModel],
    trees: Sequence[FusedModel],
    config: PipelineConfig,
) -> tuple[CandidateEnsemble, SelectionRows]:
    """Calibrate the candidates and choose among them; arguments as of :func:`package_model`.

    Returns:
        The model, and the rows by which it was chosen.
    """
    targets, prior = dataset.targets, training_prior(dataset)
    heads = {}
    for name, single in singles.items():
        heads[name] = Head(single.encoder.width, targets)
        heads[name].load_state_dict(read_tensors(Path(single.head), single.prefix))
    network = None if fused is None else _open_fused(fused, config, targets)
    boosted = _open_fused(trees[0], with_trees(config), targets) if trees else None
    model = CandidateEnsemble(heads, network, targets, prior, boosted).eval()

    rows = open_unseen(dataset, features, singles, unseen, max(len(fused_folds), len(trees) - 1))
    natural, present, values = rows.natural, rows.present, rows.values
    masks = [model.mask(subset) for subset in model.subsets()]
    made: dict[str, dict[Subset, Tensor]] = {}
    if fused is not None:
        pooled = held_out(targets, natural, present, values, prior, masks, rows.folds)
        is_pool = model.late is None and not fused.joint
        made[FUSION if is_pool else LATE] = dict(zip(model.subsets(), pooled, strict=True))
        if not is_pool:
            made[FUSION] = _out_of_fold(model, rows, fused, unseen, fused_folds, config)
    if trees:
        made[TREES] = _out_of_fold(model, rows, trees[0], unseen, trees[1:], with_trees(config))
    if model.late is not None:
        stack(model.late, natural, present, values, prior)
    predicted = Predicted(natural, made, present)
    coverage = config.evaluation.coverage
    thresholds: dict[str, Threshold] = {
        name: target.threshold
        for name, target in config.targets.items()
        if isinstance(target, ClassificationTarget | MultilabelTarget)
    }
    predicted = calibrate_and_choose(model, predicted, values, coverage, rows.folds, rows.parts, thresholds)
    return model, SelectionRows(rows.samples, predicted, values)


def _open_fused(fused: FusedModel, config: PipelineConfig, targets: Targets) -> Fused:
    """Build a trained fusion again."""
    widths = {name: feature.encoder.width for name, feature in fused.features.items()}
    network = Fused(build_fusion(config.fusion, widths, targets), targets)
    network.load_state_dict(read_tensors(Path(fused.weights), fused.prefix))
    return network.eval()


@torch.inference_mode()
def _out_of_fold(
    model: CandidateEnsemble,
    rows: UnseenRows,
    fused: FusedModel,
    unseen: Mapping[str, OutOfFold],
    fused_folds: Sequence[FusedModel],
    config: PipelineConfig,
) -> dict[Subset, Tensor]:
    """Natural parameters (N, K) of a trained fusion by subset, for each row from a training without it.

    Without folds the rows are validation rows, from which no fusion has learned.
    """
    features = {name: each.features for name, each in unseen.items()} or fused.features
    embeddings = {name: load_embeddings(rows.samples, name, feature) for name, feature in features.items()}
    result = {subset: torch.zeros(len(rows.present), model.targets.width) for subset in model.subsets()}
    for number, each in enumerate(fused_folds or [fused]):
        network = _open_fused(each, config, model.targets)
        positions = torch.from_numpy(rows.folds == number if fused_folds else rows.folds >= 0)
        for subset, natural in result.items():
            mask = rows.present[positions] & model.mask(subset)
            natural[positions] = network({name: e[positions] for name, e in embeddings.items()}, mask).float()
    return result


def _search(
    dataset: Dataset, fused: FusedModel | None, aligned: Trained, config: PipelineConfig
) -> Searchable:
    assert fused is not None
    assert config.alignment is not None
    network = open_aligned(aligned, fused.features, config)
    return Searchable(network, config.alignment, make_gallery(dataset, fused.features, network, config))
