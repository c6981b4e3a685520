"""Preprocess and extract on a cluster of two: the same bits, and nothing lost with a machine."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.data.ingest import ingest
from components.data.samples import open_samples_table
from components.errors import DataError
from components.pipeline.extract import Extraction, extract
from components.pipeline.preprocess import prepare
from components.storage.shards import Codec, ShardStore
from tests.components.conftest import BuiltModel
from tests.components.engine.conftest import Machines

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def rows_of(tiny: BuiltModel, name: str, store: str, codec: Codec) -> dict[str, np.ndarray]:
    digests = open_samples_table(tiny.dataset).rows([name])[f"{name}.digest"].dropna().tolist()
    return {digests[position]: array for position, array in ShardStore(Path(store), codec).read(digests)}


def equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for key, array in one.items():
        assert array.dtype == other[key].dtype
        np.testing.assert_array_equal(array, other[key])


@pytest.mark.parametrize("name", ["photo", "note", "facts"])
def test_samples_and_features_are_those_of_the_local_engine_bit_for_bit(
    machines: Machines, tiny: BuiltModel, tmp_path: Path, name: str
) -> None:
    config = machines.ask(tiny.config)
    reports: list[tuple[int, int]] = []
    prepared = prepare(
        tiny.dataset,
        name,
        config.inputs[name],
        tmp_path / "canonical",
        config.engine.shard_rows,
        lambda done, total: reports.append((done, total)),
        config.engine,
    )
    assert prepared.fingerprint == tiny.prepared[name].fingerprint
    assert (prepared.rows, prepared.made) == (84, 84)
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert reports[-1] == (84, 84)
    local = rows_of(tiny, name, tiny.prepared[name].store, "arrow")
    equal(rows_of(tiny, name, prepared.store, "arrow"), local)

    weights = tiny.features[name].encoder
    features = extract(tiny.dataset, prepared, weights, config, tmp_path / "features")
    assert features.extracted == 84
    assert Path(features.store).name == Path(tiny.features[name].store).name, "one key with both engines"
    local = rows_of(tiny, name, tiny.features[name].store, "parquet")
    equal(rows_of(tiny, name, features.store, "parquet"), local)
    assert extract(tiny.dataset, prepared, weights, config, tmp_path / "features").extracted == 0


def test_a_machine_that_dies_half_way_costs_nothing(
    two_machines: Machines, tiny: BuiltModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Extraction):
        """Leaves time to pull the plug."""

        def __call__(self, shards: Iterable[pd.DataFrame]) -> Iterator[int]:
            time.sleep(0.5)
            yield from super().__call__(shards)

    monkeypatch.setattr("components.pipeline.extract.Extraction", Slow)
    config = two_machines.ask(tiny.config)
    config = config.model_copy(update={"engine": config.engine.model_copy(update={"shard_rows": 6})})
    written: list[int] = []

    def progress(done: int, total: int) -> None:
        if done and not written:
            two_machines.lose_one()
            written.append(len(list(tmp_path.rglob("*.parquet"))))

    weights = tiny.features["photo"].encoder
    features = extract(tiny.dataset, tiny.prepared["photo"], weights, config, tmp_path, progress)
    assert written[0] < 14, "it was lost in the middle"
    assert features.extracted == 84
    rows = rows_of(tiny, "photo", features.store, "parquet")
    local = rows_of(tiny, "photo", tiny.features["photo"].store, "parquet")
    assert rows.keys() == local.keys()
    for key, array in rows.items():  # batches of 6 rows, not of 40: sums in another order
        np.testing.assert_allclose(array, local[key], rtol=1e-5, atol=1e-6)
    shards = [ShardStore(Path(features.store), "parquet")._keys(path) for path in tmp_path.rglob("*.parquet")]
    assert sum(len(keys) for keys in shards) == 84, "what was begun twice has the same name"


def test_what_is_wrong_with_a_row_is_told_as_by_the_local_engine(
    machines: Machines, tiny: BuiltModel, own_data: Path, tmp_path: Path
) -> None:
    config = machines.ask(tiny.config)
    dataset = ingest(config, tmp_path / "data", own_data)
    (own_data / "photos" / "train00.png").write_bytes(b"something else")
    messages = []
    for engine in (config.engine, tiny.config.engine):
        with pytest.raises(DataError) as caught:
            prepare(dataset, "photo", config.inputs["photo"], tmp_path / engine.name, 40, engine=engine)
        assert type(caught.value) is DataError
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "has other content now" in messages[0]
