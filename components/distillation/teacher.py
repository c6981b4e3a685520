"""What a delivered model says of every row: the answers and vectors that students learn from.

A teacher was fitted to the training rows, so of those it is surer, and more often right, than of others.
Students are taught on training rows alone: a temperature above 1 softens that, and whether teaching helped
is judged on test rows that neither has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from components.config.pipeline import PipelineConfig
from components.data.examples import as_table
from components.data.samples import open_samples_table
from components.errors import ModelError
from components.inference.ensemble import CandidateEnsemble, Embeddings
from components.inference.predictor import Predictor
from components.models.fusion.late import Late
from components.models.fusion.masking import as_vector, hide_absent
from components.references import Dataset, Taught
from components.storage.closure import code_digest
from components.storage.digest import digest, digest_file, digest_json
from components.storage.shards import ShardStore
from components.targets import Regression, Targets

_BATCH = 128


def teach(
    dataset: Dataset,
    config: PipelineConfig,
    bundle: Path,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Taught:
    """Ask a teacher about every row, each once for its content.

    Args:
        dataset: Reference to the samples.
        config: The pipeline that they come from.
        bundle: The teacher.
        cache: Folder of the stores.
        progress: Called with rows done and rows to do.

    Raises:
        ModelError: If it predicts something else, or has none of the pipeline's columns as input.
    """
    predictor = Predictor(bundle, config.engine.device)
    teacher = predictor.bundle.delivered
    _check_targets(teacher.targets, dataset.targets, bundle)
    inputs = tuple(sorted(config.inputs))
    samples = open_samples_table(dataset).rows(inputs, values=True)
    columns = {column for options in config.inputs.values() for column in options.columns}
    if not columns & set(predictor.columns):
        raise ModelError(
            f"teacher {bundle}: takes the columns {', '.join(predictor.columns)}, and the pipeline has "
            f"none of them (has: {', '.join(sorted(columns))})"
        )
    keys = row_keys(samples, inputs)
    vectors = sum(encoder.width for encoder in predictor.bundle.single_encoders.values())
    embedding = teacher.fused.fusion.width if has_fused_vector(teacher) else vectors  # type: ignore[union-attr]
    facts = [bundle_digest(bundle), digest_json(dataset.targets.to_json())]
    store = ShardStore(cache / f"teacher-{digest(*facts, code_digest(predict_rows))}", "parquet")
    missing = store.missing(keys)
    todo = samples.assign(key=keys).drop_duplicates("key").set_index("key").loc[missing]
    table = as_table(todo, config.inputs)
    progress(0, len(missing))
    for start in range(0, len(missing), config.engine.shard_rows):
        stop = min(start + config.engine.shard_rows, len(missing))
        parts = [
            predict_rows(predictor, table.iloc[first : min(first + _BATCH, stop)], dataset.targets)
            for first in range(start, stop, _BATCH)
        ]
        store.append(missing[start:stop], list(np.concatenate(parts)))
        progress(stop, len(missing))
    return Taught(
        str(store.folder), inputs, dataset.targets.width, embedding, teacher.inputs, answered=len(missing)
    )


@torch.inference_mode()
def predict_rows(predictor: Predictor, table: pd.DataFrame, targets: Targets) -> np.ndarray:
    """Calibrated natural parameters and vectors of rows as users have them, side by side.

    Args:
        predictor: The teacher.
        table: With the manifest's columns.
        targets: In whose units numbers are.

    Returns:
        (N, K + E) float32; NaN in rows of which the teacher can read no input.
    """
    teacher, embeddings = predictor.bundle.delivered, predictor.embed(predictor.read(table))
    natural = [
        target.mix([teacher.predict(known, embeddings, predictor.inputs)])
        for target, known in zip(targets, teacher.targets, strict=True)
    ]
    found = torch.cat([*natural, vectors_of(teacher, embeddings).double().cpu()], dim=1)
    found[~embeddings.present.any(1).cpu()] = torch.nan
    return found.float().numpy()


def has_fused_vector(model: CandidateEnsemble) -> bool:
    """Whether there is one vector behind a fusion; late fusion, and a single input, have none."""
    return model.fused is not None and not isinstance(model.fused.fusion, Late)


def vectors_of(model: CandidateEnsemble, embeddings: Embeddings) -> Tensor:
    """The fused vector of each row; without one the embeddings side by side, absent ones 0. (N, E)."""
    if model.fused is not None and has_fused_vector(model):
        return model.fused.vector(embeddings.fusion, embeddings.present)
    there = hide_absent(embeddings.single, embeddings.present, model.inputs)
    return torch.cat([as_vector(there[name]) for name in model.inputs], dim=1)


def row_keys(samples: pd.DataFrame, inputs: Sequence[str]) -> list[str]:
    """Digest of each row's content in all inputs."""
    columns = samples[[f"{name}.digest" for name in inputs]].fillna("")
    return [digest(*row) for row in columns.itertuples(index=False, name=None)]


def open_taught(dataset: Dataset, samples: pd.DataFrame, taught: Taught) -> tuple[Tensor, Tensor, list[str]]:
    """Natural parameters (N, K), vectors (N, E), NaN where there is no answer, and keys of some rows."""
    rows = open_samples_table(dataset).rows(taught.inputs).set_index("id").loc[samples["id"]]
    keys = row_keys(rows, taught.inputs)
    found = torch.from_numpy(ShardStore(Path(taught.store), "parquet").stack(keys))
    return found[:, : taught.width], found[:, taught.width :], keys


def bundle_digest(bundle: Path) -> str:
    """Digest of all files of a bundle."""
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    return digest(*(f"{path.relative_to(bundle)} {digest_file(path)}" for path in files))


def _check_targets(teacher: Targets, own: Targets, bundle: Path) -> None:
    """The same targets with the same classes; numbers may have another scale."""

    def shown(targets: Targets) -> list[tuple[str, str, tuple[str, ...]]]:
        return [
            (target.name, target.task, () if isinstance(target, Regression) else target.columns)
            for target in targets
        ]

    if shown(teacher) != shown(own):
        raise ModelError(
            f"teacher {bundle}: predicts {shown(teacher)}, the pipeline's rows have {shown(own)}. "
            "Run the pipeline again (braid run), then distill."
        )
