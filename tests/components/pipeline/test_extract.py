"""Extraction: what is missing and nothing else, also after a kill."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.config import PipelineConfig
from components.data.ingest import ingest
from components.data.samples import load_embeddings, open_samples_table
from components.inference.embedder import without_padding
from components.models.weights import open_encoder, open_preprocessor
from components.pipeline.extract import extract
from components.pipeline.preprocess import prepare
from components.storage import shards
from components.storage.shards import ShardStore
from tests.components.conftest import BuiltModel

ROOT = Path(__file__).parents[3]
KILLED = """
import os, pickle, sys
from pathlib import Path
from components.pipeline.extract import extract

def killed(done, total):
    if done:
        os._exit(9)

with open(sys.argv[1], "rb") as file:
    dataset, prepared, weights, config = pickle.load(file)
extract(dataset, prepared, weights, config, Path(sys.argv[2]), killed)
"""


def test_the_second_time_nothing_is_extracted(tiny: BuiltModel) -> None:
    for name, features in tiny.features.items():
        assert features.extracted == 84
        again = extract(
            tiny.dataset,
            tiny.prepared[name],
            features.encoder,
            tiny.config,
            tiny.folder / "cache" / "features",
        )
        assert again == replace(features, extracted=0)


def test_features_are_what_the_encoder_gives(tiny: BuiltModel) -> None:
    samples = open_samples_table(tiny.dataset).rows(["facts"], values=True)
    embeddings = load_embeddings(samples, "facts", tiny.features["facts"])
    preprocessor = open_preprocessor(tiny.prepared["facts"])
    encoder = open_encoder(tiny.features["facts"].encoder, preprocessor)
    for row in (0, 7, 50):  # the second lacks it
        cells = {"age": samples["facts.age"][row], "city": samples["facts.city"][row]}
        if samples["facts.digest"].isna()[row]:
            assert not embeddings[row].any()
        else:
            alone = encoder(preprocessor.collate([preprocessor.canonical(cells)]))[0].detach()
            # float32 sums in a batch of another size
            np.testing.assert_allclose(embeddings[row].numpy(), alone.numpy(), rtol=1e-4, atol=1e-5)


def test_one_changed_picture_costs_one_row(
    config: Callable[..., PipelineConfig], own_data: Path, tiny: BuiltModel, tmp_path: Path
) -> None:
    # with the encoder as it is: a test row teaches nothing
    def run() -> int:
        dataset = ingest(tiny.config, tmp_path / "work", own_data)
        prepared = prepare(dataset, "photo", tiny.config.inputs["photo"], tmp_path / "canonical", 40)
        weights = tiny.features["photo"].encoder
        return extract(dataset, prepared, weights, tiny.config, tmp_path / "features").extracted

    assert [run(), run()] == [84, 0]
    Image.fromarray(np.full((16, 16, 3), 9, np.uint8)).save(own_data / "photos" / "test00.png")
    assert [run(), run()] == [1, 0]


def test_shards_are_opened_one_after_the_other_whatever_the_order_of_the_rows(
    tiny: BuiltModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pq.read_table(tiny.dataset.samples)
    shuffled = str(tmp_path / "shuffled.parquet")
    pq.write_table(table.take(np.random.default_rng(0).permutation(len(table))), shuffled)
    mapped: list[Path] = []
    original = shards._decode

    def decode(path: Path, codec: shards.Codec, columns: list[str] | None = None) -> pa.Table:
        if columns is None:
            mapped.append(path)
        return original(path, codec, columns)

    monkeypatch.setattr(shards, "_decode", decode)
    features = extract(
        replace(tiny.dataset, samples=shuffled),
        tiny.prepared["photo"],
        tiny.features["photo"].encoder,
        tiny.config,
        tmp_path / "features",
    )
    assert len(mapped) == len(set(mapped)) == 3, "84 samples in shards of 40, each mapped once"
    digests = open_samples_table(tiny.dataset).rows(["photo"])["photo.digest"].dropna().tolist()
    vectors = ShardStore(Path(features.store), "parquet").stack(digests)
    whole = ShardStore(Path(tiny.features["photo"].store), "parquet").stack(digests)
    # in the order of the store: the same batches, the same bits
    np.testing.assert_array_equal(vectors, whole)


def test_a_killed_extraction_goes_on_where_it_stopped(tiny: BuiltModel, tmp_path: Path) -> None:
    work = (tiny.dataset, tiny.prepared["photo"], tiny.features["photo"].encoder, tiny.config)
    (tmp_path / "work.pickle").write_bytes(pickle.dumps(work))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "work.pickle"), str(tmp_path / "features")]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 9

    reports: list[tuple[int, int]] = []
    features = extract(*work, tmp_path / "features", lambda done, total: reports.append((done, total)))
    assert features.extracted == 44, "40 of 84 were in the shard that was written before the kill"
    assert reports == [(0, 44), (40, 44), (44, 44)]
    digests = open_samples_table(tiny.dataset).rows(["photo"])["photo.digest"].dropna().tolist()
    vectors = ShardStore(Path(features.store), "parquet").stack(digests)
    whole = ShardStore(Path(tiny.features["photo"].store), "parquet").stack(digests)
    np.testing.assert_array_equal(vectors, whole)  # shards begin at the same rows, so even the bits are equal


def test_a_damaged_shard_is_extracted_again(tiny: BuiltModel, tmp_path: Path) -> None:
    work = (tiny.dataset, tiny.prepared["note"], tiny.features["note"].encoder, tiny.config)
    features = extract(*work, tmp_path)
    shard = max(Path(features.store).glob("*.parquet"), key=lambda file: file.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-1])
    assert extract(*work, tmp_path).extracted == 40
    assert extract(*work, tmp_path).extracted == 0


@pytest.mark.parametrize(
    ("lengths", "expected"), [([3, 1, 2], [3, 1, 2]), ([0, 3, 0], [1, 3, 1])], ids=["some", "none"]
)
def test_padding_is_not_stored(lengths: list[int], expected: list[int]) -> None:
    rows = np.ones((3, 3, 2), np.float32) * (np.arange(3) < np.array(lengths)[:, None])[..., None]
    rows[0, :1] = 0  # a zero vector before the last real token stays
    trimmed = without_padding(rows)
    assert [len(row) for row in trimmed] == expected
    for row, stored in zip(rows, trimmed, strict=True):
        np.testing.assert_array_equal(row[: len(stored)], stored)
        assert not row[len(stored) :].any()


def test_vectors_are_stored_as_they_are() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(without_padding(rows), rows)
