"""From trained parts to the delivered model: calibrate, choose on validation, write the bundle."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from components.config import PipelineConfig
from components.data.samples import load_embeddings, open_samples_table, presence
from components.inference.bundle import Searchable, save_bundle
from components.inference.ensemble import CandidateEnsemble, Embeddings, Subset
from components.inference.selection import calibrate_and_choose
from components.models.fusion import build_fusion
from components.models.fusion.late import Late
from components.models.fusion.masking import as_vector
from components.models.networks import Fused
from components.models.weights import read_tensors
from components.monitoring.reference import draw_reference, make_reference
from components.pipeline.align import open_aligned
from components.pipeline.fuse import training_prior
from components.references import Dataset, Features, FusedModel, Prepared, Single, Trained
from components.retrieval.gallery import make_gallery
from components.targets import Head
from components.training.stack import held_out


@dataclass(frozen=True)
class OpenedSplit:
    """The rows of one split, in memory.

    Attributes:
        samples: N rows of the samples table.
        embeddings: Embeddings of these rows.
        values: Encoded values (N, ...) by target.
        out_of_fold: (N, K) natural parameters of the fusion by subset of the inputs, made without the row
            itself; empty where the fusion has not learned from these rows.
    """

    samples: pd.DataFrame
    embeddings: Embeddings
    values: dict[str, Tensor]
    out_of_fold: Mapping[Subset, Tensor] = field(default_factory=dict)


def open_split(
    dataset: Dataset, split: str, features: Mapping[str, Features], fused: FusedModel | None
) -> OpenedSplit:
    """Read samples, embeddings and values of the targets of one split."""
    samples = open_samples_table(dataset).split(split, list(features))
    return OpenedSplit(samples, open_rows(samples, features, fused), dataset.targets.encode(samples))


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
    fused: FusedModel | None,
    config: PipelineConfig,
    folder: Path,
    aligned: Trained | None = None,
) -> OpenedSplit:
    """Put the candidates together, calibrate them, choose among them and write the bundle.

    Args:
        dataset: Reference to the samples.
        prepared, singles, features: By input.
        fused: The fusion; None with a single input.
        config: The whole pipeline.
        folder: Folder of the bundle.
        aligned: Projections for search, of the features that the fusion takes.

    Returns:
        The validation rows, by which the choice was made.
    """
    model, validation = assemble(dataset, singles, features, fused, config)
    reference = None
    if config.monitoring.rows:
        rows = draw_reference(dataset, config)
        reference = make_reference(dataset, rows, open_rows(rows, features, fused), prepared, model, config)
    save_bundle(
        folder,
        delivered=model,
        inputs=config.inputs,
        fusion=config.fusion,
        prepared=prepared,
        single={name: single.encoder for name, single in singles.items()},
        fused={} if fused is None else {name: feature.encoder for name, feature in fused.features.items()},
        facts={"name": config.name, "seed": config.seed, "dataset": dataset.digest},
        spellings=dataset.spellings,
        search=None if aligned is None else _search(dataset, fused, aligned, config),
        sample=reference,
    )
    return validation


def assemble(
    dataset: Dataset,
    singles: Mapping[str, Single],
    features: Mapping[str, Features],
    fused: FusedModel | None,
    config: PipelineConfig,
) -> tuple[CandidateEnsemble, OpenedSplit]:
    """Calibrate the candidates and choose among them; arguments as of :func:`package_model`.

    Returns:
        The model, and the validation rows.
    """
    targets = dataset.targets
    heads = {}
    for name, single in singles.items():
        heads[name] = Head(single.encoder.width, targets)
        heads[name].load_state_dict(read_tensors(Path(single.head), single.prefix))
    network = None
    if fused is not None:
        widths = {name: feature.encoder.width for name, feature in fused.features.items()}
        network = Fused(build_fusion(config.fusion, widths, targets), targets)
        network.load_state_dict(read_tensors(Path(fused.weights), fused.prefix))
    model = CandidateEnsemble(heads, network, targets, training_prior(dataset)).eval()

    validation = open_split(dataset, "val", features, fused)
    if fused is not None and not fused.joint:
        out_of_fold = out_of_fold_natural(model, validation.embeddings, validation.values)
        validation = replace(validation, out_of_fold=out_of_fold)
    coverage = config.evaluation.coverage
    calibrate_and_choose(model, validation.embeddings, validation.values, coverage, validation.out_of_fold)
    return model, validation


def _search(
    dataset: Dataset, fused: FusedModel | None, aligned: Trained, config: PipelineConfig
) -> Searchable:
    assert fused is not None
    assert config.alignment is not None
    network = open_aligned(aligned, fused.features, config)
    return Searchable(network, config.alignment, make_gallery(dataset, fused.features, network, config))


def out_of_fold_natural(
    model: CandidateEnsemble, validation: Embeddings, values: Mapping[str, Tensor]
) -> dict[Subset, Tensor]:
    """Compute natural parameters of a staged late fusion for each validation row, without the row itself.

    Other fusions learn from training rows alone, so for them the result is empty.
    """
    if model.fused is None or not isinstance(model.fused.fusion, Late):
        return {}
    with torch.no_grad():
        natural = {
            name: model.heads[name](as_vector(validation.single[name])).float() for name in model.inputs
        }
    subsets = model.subsets()
    masks = [model.mask(subset) for subset in subsets]
    pooled = held_out(model.targets, natural, validation.present, values, model.prior, masks)
    return dict(zip(subsets, pooled, strict=True))
