"""Sources of batches: the right sample in the right row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from components.data.samples import open_samples_table
from components.training.batches import EmbeddingSource, SampleSource, open_embeddings, open_samples
from tests.components.conftest import CLASSES, BuiltModel

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def samples(tiny: BuiltModel) -> pd.DataFrame:
    table = open_samples_table(tiny.dataset).rows(list(tiny.config.inputs), values=True)
    return table[table["split"] == "val"].reset_index(drop=True)


@pytest.fixture(scope="module")
def source(tiny: BuiltModel, samples: pd.DataFrame) -> SampleSource:
    return open_samples(samples, tiny.prepared, tiny.config.inputs, tiny.dataset.targets, CPU)


def test_samples_come_in_the_order_asked_for(source: SampleSource, samples: pd.DataFrame) -> None:
    positions = torch.tensor([20, 3, 5, 20])  # row 5 has no photo
    batch = source.batch(positions)
    assert batch.targets["label"].tolist() == [
        CLASSES.index(samples["target.label"][row]) for row in positions.tolist()
    ]
    assert source.inputs == ("facts", "note", "photo")
    assert batch.present.tolist() == [[True, True, True]] * 2 + [[True, True, False]] + [[True, True, True]]
    photo = batch.inputs["photo"]
    assert photo.rows.tolist() == [0, 1, 3]
    for pixels, row in zip(photo.batch["pixels"], (20, 3, 20), strict=True):
        expected = np.asarray(Image.open(Path(samples["photo.path"][row])))
        np.testing.assert_array_equal(pixels.permute(1, 2, 0), expected)


def test_an_input_that_no_row_has_is_left_out(source: SampleSource) -> None:
    batch = source.batch(torch.tensor([5, 13]))
    assert set(batch.inputs) == {"facts", "note"}
    assert not batch.present[:, 2].any()


def test_only_training_batches_are_augmented(tiny: BuiltModel, samples: pd.DataFrame) -> None:
    inputs = dict(tiny.config.inputs)
    augment = inputs["photo"].augment.model_copy(update={"colour": 0.5})
    inputs["photo"] = inputs["photo"].model_copy(update={"augment": augment})
    source = open_samples(samples, tiny.prepared, inputs, tiny.dataset.targets, CPU)
    positions = torch.arange(4)
    plain, again = (source.batch(positions).inputs["photo"].batch["pixels"] for _ in range(2))
    torch.testing.assert_close(again, plain, rtol=0, atol=0)
    changed, same = (
        source.batch(positions, torch.Generator().manual_seed(3)).inputs["photo"].batch["pixels"]
        for _ in range(2)
    )
    assert not torch.equal(changed, plain)
    torch.testing.assert_close(same, changed, rtol=0, atol=0)


def test_cached_embeddings_come_with_their_presence(tiny: BuiltModel, samples: pd.DataFrame) -> None:
    source = open_embeddings(samples, tiny.features, tiny.dataset.targets, CPU)
    assert isinstance(source, EmbeddingSource)
    batch = source.batch(torch.tensor([5, 6, 7, 0]))
    assert batch.present.tolist() == [[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]]
    assert not batch.inputs["photo"][0].any()
    assert batch.inputs["photo"][1].any()
    assert {name: value.shape for name, value in batch.inputs.items()} == dict.fromkeys(tiny.features, (4, 8))
