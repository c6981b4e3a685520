"""One pass over a cluster that is started for it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from components.config.engine import EngineConfig
from components.data.samples import open_samples_table
from components.engine.cluster import ADDRESS, running
from components.pipeline.extract import extract
from components.storage.shards import ShardStore
from tests.components.conftest import BuiltModel


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread", "no_cluster")
def test_a_cluster_for_one_run_gives_the_features_of_this_process(tiny: BuiltModel, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'braid[ray]'")
    engine = EngineConfig(name="ray", device="cpu", shard_rows=40)
    with running(engine):
        assert os.environ[ADDRESS].startswith("127.0.0.1:")
        config = tiny.config.model_copy(update={"engine": engine})
        features = extract(
            tiny.dataset, tiny.prepared["photo"], tiny.features["photo"].encoder, config, tmp_path
        )
    assert not ray.is_initialized()
    assert ADDRESS not in os.environ
    assert features.extracted == 84
    digests = open_samples_table(tiny.dataset).rows(["photo"])["photo.digest"].dropna().tolist()
    local, remote = (
        ShardStore(Path(store), "parquet") for store in (tiny.features["photo"].store, features.store)
    )
    np.testing.assert_array_equal(local.stack(digests), remote.stack(digests))
