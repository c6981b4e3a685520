"""A Ray cluster of a head and two workers on 127.0.0.1, for the tests that need one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
import torch

from components.config.engine import ClusterConfig, EngineConfig
from components.config.pipeline import PipelineConfig
from components.engine.cluster import ADDRESS, connect

os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # all on 127.0.0.1; looked at by the import


@dataclass
class Machines:
    """The cluster.

    Attributes:
        cluster: Ray's own, of :mod:`ray.cluster_utils`.
        engine: How a pipeline asks for it.
    """

    cluster: Any
    engine: EngineConfig

    def ask(self, config: PipelineConfig, **ray: Any) -> PipelineConfig:
        """The pipeline on the cluster; ``ray`` changes options of :class:`ClusterConfig`."""
        changed = self.engine.cluster.model_copy(update=ray)
        engine = config.engine.model_copy(update={"name": "ray", "cluster": changed})
        return config.model_copy(update={"engine": engine})

    def lose_one(self) -> None:
        """A worker machine is gone at once, with all that it was doing."""
        self.cluster.remove_node(self.cluster.list_all_nodes()[-1], allow_graceful=False)

    def complete(self) -> None:
        """As many worker machines as at the beginning."""
        while len(self.cluster.list_all_nodes()) < 3:
            self.cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
        self.cluster.wait_for_nodes()


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """Two workers with one core each. The head has none: it is not the one to lose."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'braid[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "node_ip_address": "127.0.0.1"},
    )
    engine = EngineConfig(name="ray", device="cpu", cluster=ClusterConfig(address=cluster.address))
    workers = Machines(cluster, engine)
    workers.complete()
    ray = connect(engine)
    yield workers
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def two_machines(machines: Machines) -> Iterator[Machines]:
    """The cluster for one test, which may lose a part of it."""
    yield machines
    machines.complete()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums are added up in the same order as by a worker with one core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine on which nobody has set anything."""
    monkeypatch.delenv(ADDRESS, raising=False)


def kill_worker(name: str) -> None:
    """kill -9 to one of this cluster's processes whose title begins like this."""
    processes = [each for each in psutil.Process().children(recursive=True) if _title(each).startswith(name)]
    assert processes, f"no process is called {name}"
    processes[0].kill()


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
