"""Generated rows are the same every time, and the benchmarks measure what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import generated
from benchmarks.child import in_child
from benchmarks.generated import TABLE, Change, pipeline_of, write_rows
from benchmarks.steps import to_features
from benchmarks.training import CLASSES, FUSIONS, bare, braid, loader, made

INPUTS = ("table", "text", "image")


def test_rows_are_the_same_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (write_rows(tmp_path / name, 30, INPUTS) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    images = [sorted(path.parent.rglob("*.jpg")) for path in (one, two)]
    assert [path.read_bytes() for path in images[0]] == [path.read_bytes() for path in images[1]]
    assert len({path.read_bytes() for path in images[0]}) == 30
    monkeypatch.setattr(generated, "_PART", 10)
    longer = pd.read_csv(write_rows(tmp_path / "three", 30, INPUTS))
    assert longer["id"].is_unique


def test_a_change_is_of_the_share_that_is_asked_for(tmp_path: Path) -> None:
    before = pd.read_csv(write_rows(tmp_path, 40, INPUTS))
    images = {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    after = pd.read_csv(write_rows(tmp_path, 40, INPUTS, change=Change(share=0.1, images=True)))
    changed = [0, 10, 20, 30]
    assert np.flatnonzero(before["text"] != after["text"]).tolist() == changed
    assert set(np.flatnonzero((before[TABLE] != after[TABLE]).any(axis=1))) == set(changed)
    assert [int(path.stem) for path in sorted(images) if path.read_bytes() != images[path]] == changed
    assert before["label"].tolist() == after["label"].tolist()


def test_repeated_steps_extract_what_has_changed_and_no_more(tmp_path: Path) -> None:
    def extracted() -> dict[str, int]:
        _, dataset, features = to_features(config, tmp_path / "work")
        assert dataset.rows == 100
        return {name: each.extracted for name, each in features.items()}

    config = pipeline_of(write_rows(tmp_path, 100, INPUTS), INPUTS)
    assert extracted() == {"table": 100, "text": 100, "image": 100}
    assert extracted() == {"table": 0, "text": 0, "image": 0}
    write_rows(tmp_path, 100, INPUTS, change=Change(share=0.1, images=True))
    # the table's scales and categories are learned from the training rows, some of which have changed
    assert extracted() == {"table": 100, "text": 10, "image": 10}


def test_a_child_tells_its_own_peak_of_memory() -> None:
    held = np.ones(30_000_000)  # 229 MiB of this process, which the child must not count
    child = in_child(eval, "len(b'x' * (100 * 2**20))")
    assert child.result == 100 * 2**20
    assert 90 < child.peak - child.before < 150
    assert len(held)


@pytest.mark.parametrize("fusion", list(FUSIONS))
def test_all_loops_train_the_same_model_about_equally_well(fusion: str) -> None:
    training, validation = made(4000, seed=1), made(1000, seed=2)
    accuracies = [way(FUSIONS[fusion], training, validation) for way in (braid, bare, loader(0))]
    assert min(accuracies) > 3 / CLASSES, "an epoch of 63 steps: far above chance"
    assert max(accuracies) - min(accuracies) < 0.1  # orders of rows and draws of dropout differ


def test_made_features_leave_no_row_without_any_input() -> None:
    rows = made(2000, seed=0)
    assert rows.present.any(dim=1).all()
    assert 0.03 < 1 - rows.present.float().mean() < 0.07
    embeddings, present, labels = rows[torch.arange(3)]
    assert {name: value.shape for name, value in embeddings.items()} == dict.fromkeys(
        rows.embeddings, torch.Size([3, 64])
    )
    assert present.shape == (3, 3)
    assert labels.shape == (3,)
