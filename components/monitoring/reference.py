"""Reference rows that a model carries for monitoring; its encoders did not learn from them.

An encoder separates its training rows better than any others. Compared with them, data that has not changed
would look changed (docs/decisions/014-monitoring-compares-with-held-out-rows.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from components.config import PipelineConfig
from components.data.parts import groups_of
from components.data.samples import SampleRows, input_value, open_samples_table
from components.data.spelling import typed
from components.inference.bundle import Bundle
from components.inference.ensemble import CandidateEnsemble, Embeddings
from components.inference.reference_rows import MEDIA, Cells, Sample, table_columns
from components.models.fusion.masking import as_vector
from components.models.weights import open_preprocessor
from components.monitoring.summaries import SUMMARIES, summarise
from components.preprocess.columns import name_of
from components.preprocess.composite import first_part
from components.preprocess.tabular import TabularPreprocessor
from components.references import Dataset, Prepared
from components.seeding import seed_of
from components.storage.shards import ShardStore
from components.targets import cells_of

HELD_OUT = ("val", "test")


def draw_reference(
    dataset: Dataset, config: PipelineConfig, splits: Sequence[str] = HELD_OUT
) -> pd.DataFrame:
    """Draw at most ``monitoring.rows`` rows of some splits from the samples table."""
    table = open_samples_table(dataset)
    split = table.column("split")
    rows = np.flatnonzero(np.any([split.equals(each) for each in splits], axis=0))
    drawn = np.random.default_rng(seed_of(config.seed, "reference")).permutation(len(rows))
    return SampleRows(table, list(config.inputs), rows[np.sort(drawn[: config.monitoring.rows])])[:]


def make_reference(
    dataset: Dataset,
    samples: pd.DataFrame,
    embeddings: Embeddings,
    prepared: Mapping[str, Prepared],
    model: CandidateEnsemble,
    config: PipelineConfig,
) -> Sample:
    """Collect what the model carries of the reference rows.

    Args:
        dataset: Data set of the rows.
        samples: N rows of its samples table, with all columns.
        embeddings: Embeddings of these rows.
        prepared: Canonical samples by input.
        model: Model that predicts the rows.
    """
    present = {name: embeddings.present[:, column].numpy() for column, name in enumerate(model.inputs)}
    with torch.inference_mode():
        answers = {
            target.name: model.answer(target, embeddings, model.inputs).numpy() for target in model.targets
        }
    return Sample(
        rows=len(samples),
        present={name: present[name] for name in config.inputs},
        vectors={name: as_vector(embeddings.fusion[name]).numpy()[present[name]] for name in config.inputs},
        files={
            name: [None if pd.isna(digest) else digest for digest in samples[f"{name}.digest"]]
            for name, section in config.inputs.items()
            if section.modality in MEDIA
        },
        columns={name: _columns(samples, name, prepared[name], config) for name in config.inputs},
        answers=answers,
        targets={target.name: cells_of(samples, target.name) for target in model.targets},
        faulty=_faulty(Path(dataset.quarantine)),
        judged=dataset.rows + dataset.quarantined,
        allow_missing_files=config.data.allow_missing_files,
        group=config.data.split.group,
        groups=groups_of(open_samples_table(dataset), samples) if config.data.split.group else None,
    )


def respelled(sample: Sample, bundle: Bundle) -> Sample:
    """Spell targets and categories as those of new rows, as an earlier braid spelled them otherwise."""
    targets = {
        name: [bundle.target_cell(name, typed(cell)) for cell in cells]
        for name, cells in sample.targets.items()
    }
    columns = {name: dict(cells) for name, cells in sample.columns.items()}
    for name, each in bundle.preprocessors.items():
        preprocessor = first_part(each)
        if isinstance(preprocessor, TabularPreprocessor):
            for column, spelling in preprocessor.spellings.items():
                cells = columns[name][column]
                columns[name][column] = [name_of(cell, spelling) for cell in cells]
    return replace(sample, targets=targets, columns=columns)


def _columns(
    samples: pd.DataFrame, name: str, prepared: Prepared, config: PipelineConfig
) -> dict[str, Cells]:
    options, preprocessor = config.inputs[name], open_preprocessor(prepared)
    present = samples[f"{name}.digest"].notna().to_numpy()  # (N,)
    if options.modality == "tabular":
        rows: list[dict[str, Any]] = samples.to_dict("records")  # type: ignore[assignment]
        given = [input_value(row, name, options) for row in rows]
        cells = [{key: None if pd.isna(cell) else cell for key, cell in row.items()} for row in given]
        return table_columns(preprocessor, cells)
    if options.modality == "text":
        values = samples.loc[present, f"{name}.text"].tolist()
    else:
        stored = ShardStore(Path(prepared.store), "arrow").rows(
            samples.loc[present, f"{name}.digest"].tolist()
        )
        values = [stored[row] for row in range(present.sum())]
    names = SUMMARIES[options.modality]
    summaries = np.full((len(samples), len(names)), np.nan)
    for row, value in zip(np.flatnonzero(present), values, strict=True):
        summaries[row] = summarise(preprocessor, value)
    return dict(zip(names, summaries.T, strict=True))


def _faulty(quarantine: Path) -> int:
    """Count the rows in quarantine for an input; a row without a target does not count."""
    table = pd.read_parquet(quarantine, columns=["input", "row", "reason"])
    return int(
        table.loc[(table["input"] != "row") | table["reason"].str.startswith("no input"), "row"].nunique()
    )
