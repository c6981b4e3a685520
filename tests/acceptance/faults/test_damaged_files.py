"""A bit that flips in a shard or in weights is found by its checksum, and what it hurt is made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from components.data.samples import open_samples_table
from components.inference.bundle import load_bundle
from components.models.weights import read_tensors
from components.pipeline.extract import extract
from components.pipeline.preprocess import prepare
from components.pipeline.run import BuiltModel, build_model
from components.storage.shards import ShardStore
from components.storage.tensors import DamagedError, is_whole, load_tensors, save_tensors
from tests.components.conftest import configure, write_manifest


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    """A tiny pipeline, built; its caches are damaged here."""
    folder = tmp_path_factory.mktemp("damaged")
    write_manifest(folder)
    return build_model(configure(), folder / "work", folder)


def flip(path: Path, at: float = 0.5) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 0x10
    path.write_bytes(content)


def values(store: Path, codec: str, keys: list[str]) -> np.ndarray:
    return ShardStore(store, codec).stack(keys)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["preprocessed", "feature"])
def test_a_damaged_shard_is_set_aside_and_only_its_rows_are_made_again(built: BuiltModel, what: str) -> None:
    prepared, features, config = built.prepared["photo"], built.features["photo"], built.config
    store, codec = (
        (Path(prepared.store), "arrow") if what == "preprocessed" else (Path(features.store), "parquet")
    )
    digests = open_samples_table(built.dataset).rows(["photo"])["photo.digest"].dropna().tolist()
    before = values(store, codec, digests)
    shard = sorted(store.glob(f"[!.]*.{codec}"))[0]
    hurt = len(ShardStore(store, codec)._keys(shard))  # type: ignore[arg-type]
    flip(shard)

    if what == "preprocessed":
        made = prepare(
            built.dataset, "photo", config.inputs["photo"], store.parent, config.engine.shard_rows
        ).made
    else:
        made = extract(built.dataset, prepared, features.encoder, config, store.parent).extracted
    assert 0 < made == hurt < len(set(digests))
    assert len(list(store.glob("*.damaged"))) == 1
    np.testing.assert_array_equal(values(store, codec, digests), before)


def test_damaged_weights_are_told_by_their_file_and_never_used(built: BuiltModel, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_tensors(weights, {"encoder.w": torch.arange(6.0).reshape(2, 3), "head.b": torch.ones(1)})
    torch.testing.assert_close(load_tensors(weights)["head.b"], torch.ones(1))
    assert set(read_tensors(weights, "encoder.")) == {"w"}
    flip(weights, 0.95)  # in the values
    assert not is_whole(weights)
    with pytest.raises(DamagedError, match=r"weights.safetensors: damaged: its content does not match"):
        read_tensors(weights, "encoder.")
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(DamagedError, match=r"weights.safetensors: damaged: "):
        load_tensors(weights)


def test_a_model_whose_weights_are_damaged_does_not_answer(built: BuiltModel) -> None:
    file = built.bundle / "delivered.safetensors"
    whole = file.read_bytes()
    flip(file, 0.98)
    with pytest.raises(DamagedError, match=r"delivered.safetensors: damaged"):
        load_bundle(built.bundle)
    file.write_bytes(whole)
    load_bundle(built.bundle)
