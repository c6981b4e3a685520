"""Section ``engine``: processes of this machine, or a Ray cluster."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from components.config.section import Section


class ClusterConfig(Section):
    """Ray cluster and the division of work on it; used if engine.name is ray."""

    address: str | None = Field(
        None,
        description="Cluster to join: HOST:PORT of its head, or auto. null takes the environment variable "
        "RAY_ADDRESS, and if it is not set starts a cluster on this machine that ends with the run.",
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="Most workers of one preprocess or extract step; null takes as many as the cluster can "
        "run "
        "when the step begins. A larger number lets an autoscaling cluster grow.",
    )
    cpus: int = Field(1, ge=1, le=4_096, description="Cores of each worker, and threads of its networks.")
    trainers: int = Field(
        1,
        ge=1,
        description="Workers that share each training, each with its part of every batch (DDP). With 1 the "
        "result equals that of a local training with as many threads, bit for bit.",
    )
    retries: int = Field(
        3,
        ge=0,
        description="Lost workers that a training or trial survives; it resumes after its last epoch.",
    )


class EngineConfig(Section):
    """Machine or cluster on which the work runs; ``engine: ray`` is short for ``engine: {name: ray}``."""

    name: Literal["local", "ray"] = Field(
        "local",
        description="local: processes on this machine. ray: preprocess, extract, trainings and trials on a "
        "Ray cluster whose machines see the same workspace and files (extra braid[ray]).",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto",
        description="Device for networks; auto takes a GPU if there is one. On a cluster cuda, or auto "
        "if it has GPUs, gives one to each worker with a network.",
    )
    shard_rows: int = Field(
        1024, ge=1, description="Most rows per shard of a store; a killed step loses at most these."
    )
    cluster: ClusterConfig = Field(default_factory=ClusterConfig, description="The cluster, if name is ray.")

    @model_validator(mode="before")
    @classmethod
    def _a_word_is_its_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def trainers(self) -> int:
        """Number of workers that share each training."""
        return self.cluster.trainers if self.name == "ray" else 1

    @property
    def here(self) -> EngineConfig:
        """The same options without a cluster, for code that already runs on one of its workers."""
        return self.model_copy(update={"name": "local"})
