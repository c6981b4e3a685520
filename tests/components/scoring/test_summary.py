"""Totals of a scored table, of every kind of target, from its parts alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.config.inputs import TextInput
from components.config.score import ScoreConfig
from components.data.sources.manifest import Manifest
from components.data.spelling import Spelling
from components.scoring.job import Job, Model
from components.scoring.rows import Rows
from components.scoring.summary import sum_up
from components.targets import Targets
from tests.components.small_targets import classes, labels, number


def test_answers_are_counted_by_kind_and_a_part_may_be_empty(tmp_path: Path) -> None:
    config = ScoreConfig(model="m", manifest="new.csv")
    job = Job("key", str(tmp_path), config, Model("m", "1", "run", "bundle"))
    table = pd.DataFrame(
        {
            "inputs": ["title+body", "title", "body"],
            "label_label": ["class 0", "class 1", "class 0"],
            "label_abstain": [True, False, False],
            "tags_labels": ["a|b", "none", "b"],
            "tags_abstain": [True, True, False],
            "price_value": [1.0, 4.0, -2.0],
            "price_abstain": [False, False, False],
        }
    )
    job.predictions.mkdir()
    whole = pa.Table.from_pandas(table, preserve_index=False)
    for part, (first, length) in enumerate([(0, 2), (2, 0), (2, 1)]):
        pq.write_table(whole.slice(first, length), job.predictions / f"part-{part:06d}.parquet")
    manifest = Manifest("new.csv", "new.csv", "", ("title", "body"), lambda wanted: iter(()))
    inputs = {name: TextInput(columns=[name]) for name in ("title", "body")}
    rows = Rows(manifest, inputs, None, Spelling(), 4, ("extra",))

    summary = sum_up(job, rows, Targets((classes(2), labels("abc"), number())), "run", faulty=2)
    assert (summary.rows, summary.scored, summary.not_scored, summary.faulty) == (4, 3, 1, 2)
    assert summary.missing == {"title": 1, "body": 1}
    assert summary.abstained == {"label": 1, "tags": 2, "price": 0}
    assert summary.labels == {"label": {"class 0": 2, "class 1": 1}, "tags": {"a": 1, "b": 2, "none": 1}}
    assert summary.values == {"price": {"mean": 1.0, "lowest": -2.0, "highest": 4.0}}
    assert summary.absent == ["extra"]
