"""Predictions and vectors of a delivered model, the teacher, for every row that students learn from.

A teacher was fitted to its training rows, so it is surer of those, and more often right, than of others.
For these rows students get what it predicts out of fold, where its bundle carries that; of other teachers a
temperature above 1 softens the certainty. The gain is measured on test rows that neither has seen.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.config import PipelineConfig
from components.data.examples import as_table
from components.data.samples import open_samples_table
from components.errors import ModelError
from components.inference.ensemble import CandidateEnsemble, Embeddings
from components.inference.out_of_fold import OutOfFoldPredictions, read_out_of_fold, row_contents
from components.inference.predictor import Predictor
from components.models.fusion.masking import as_vector, hide_absent
from components.references import Dataset, TeacherPredictions
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
) -> TeacherPredictions:
    """Predict every row with a teacher, rows of equal content once.

    Args:
        config: Pipeline of the samples.
        cache: Folder of the stores.
        progress: Called with rows done and rows to do.

    Raises:
        ModelError: If the teacher predicts other targets, or takes none of the pipeline's columns.
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
    code = code_digest(predict_rows, unseen_rows, row_contents)
    store = ShardStore(cache / f"teacher-{digest(*facts, code)}", "parquet")
    carried = read_out_of_fold(bundle)
    if carried is not None and not set(carried.inputs) <= set(inputs):
        carried = None  # its rows cannot be told by the contents of these inputs
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
        rows = np.concatenate(parts)  # (n, K + E)
        if carried is not None:
            positions, natural = unseen_rows(carried, todo.iloc[start:stop], teacher.targets, dataset.targets)
            rows[positions, : dataset.targets.width] = natural
        store.append(missing[start:stop], list(rows))
        progress(stop, len(missing))
    train = samples[samples["split"].eq("train")]
    unseen = 0 if carried is None else len(carried.find(row_contents(train, carried.inputs))[0])
    return TeacherPredictions(
        store=str(store.folder),
        inputs=inputs,
        width=dataset.targets.width,
        embedding=embedding,
        uses=teacher.inputs,
        answered=len(missing),
        teacher=str(bundle),
        training=len(train),
        out_of_fold=unseen,
    )


def unseen_rows(
    carried: OutOfFoldPredictions, samples: pd.DataFrame, known: Targets, targets: Targets
) -> tuple[NDArray[np.intp], np.ndarray]:
    """Find the rows that a teacher has learned from, with what it predicts of them out of fold.

    Args:
        carried: Predictions in its bundle.
        samples: N rows of the samples table.
        known: Targets of the teacher.
        targets: Targets of the pipeline; its numbers are predicted in their units.

    Returns:
        Positions (n,) of the rows, and natural parameters (n, K) float32.
    """
    positions, lines = carried.find(row_contents(samples, carried.inputs))
    parts = []
    for target, own in zip(targets, known, strict=True):
        predictions = carried.predictions(own.name, carried.inputs, lines)
        assert predictions is not None, "the table has all inputs of every target"
        parts.append(target.mix([torch.from_numpy(predictions)]))
    return positions, torch.cat(parts, dim=1).float().numpy()


@torch.inference_mode()
def predict_rows(predictor: Predictor, table: pd.DataFrame, targets: Targets) -> np.ndarray:
    """Calibrated natural parameters and vectors of rows as users have them, side by side.

    Args:
        table: N rows with the manifest's columns.
        targets: Targets of the pipeline; its numbers are predicted in their units.

    Returns:
        (N, K + E) float32; NaN in rows without an input that the teacher can read.
    """
    teacher, embeddings = predictor.bundle.delivered, predictor.embed(predictor.read(table))
    natural = [
        target.mix([teacher.predict(known, embeddings, predictor.inputs)])
        for target, known in zip(targets, teacher.targets, strict=True)
    ]
    rows = torch.cat([*natural, vectors_of(teacher, embeddings).double().cpu()], dim=1)  # (N, K + E)
    rows[~embeddings.present.any(1).cpu()] = torch.nan
    return rows.float().numpy()


def has_fused_vector(model: CandidateEnsemble) -> bool:
    """Tell if a fusion gives one vector per row; late fusion and a single input give none."""
    return model.fused is not None and not model.fused.fusion.decides


def vectors_of(model: CandidateEnsemble, embeddings: Embeddings) -> Tensor:
    """Take the fused vector of each row, or else the embeddings side by side, absent ones 0. (N, E)."""
    if model.fused is not None and has_fused_vector(model):
        return model.fused.vector(embeddings.fusion, embeddings.present)
    single = hide_absent(embeddings.single, embeddings.present, model.inputs)
    return torch.cat([as_vector(single[name]) for name in model.inputs], dim=1)


def row_keys(samples: pd.DataFrame, inputs: Sequence[str]) -> list[str]:
    """Digest the content of each row in all inputs."""
    columns = samples[[f"{name}.digest" for name in inputs]].fillna("")
    return [digest(*row) for row in columns.itertuples(index=False, name=None)]


def open_predictions(
    dataset: Dataset, samples: pd.DataFrame, predictions: TeacherPredictions
) -> tuple[Tensor, Tensor, list[str]]:
    """Read natural parameters (N, K) and vectors (N, E), NaN without a prediction, and keys of some rows."""
    rows = open_samples_table(dataset).rows(predictions.inputs).set_index("id").loc[samples["id"]]
    keys = row_keys(rows, predictions.inputs)
    stored = torch.from_numpy(ShardStore(Path(predictions.store), "parquet").stack(keys))  # (N, K + E)
    return stored[:, : predictions.width], stored[:, predictions.width :], keys


def bundle_digest(bundle: Path) -> str:
    """Digest all files of a bundle."""
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    return digest(*(f"{path.relative_to(bundle)} {digest_file(path)}" for path in files))


def _check_targets(teacher: Targets, own: Targets, bundle: Path) -> None:
    """Compare targets and their classes; numbers may have another scale."""

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
