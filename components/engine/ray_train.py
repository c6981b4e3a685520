"""Training by Ray Train: one worker, or several that share every batch (DDP)."""

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import torch

from components.config import EngineConfig
from components.engine.cluster import followed
from components.storage.atomic import write_json
from components.storage.tensors import load_tensors
from components.training.checkpoint import Epoch, known_epochs
from components.training.faults import TrainingError
from components.training.loop import BEST, CHECKPOINT
from components.training.task import Training

_EVERY = 0.5  # seconds between two looks at the checkpoint
_DAY = 24 * 3600
_REFUSAL = "refused.json"


def train(ray: Any, training: Training, config: EngineConfig, gpus: int) -> Iterator[Epoch]:
    """See :meth:`components.engine.protocol.Engine.train`.

    The only checkpoint is in the training's folder, which all workers see, as with the local engine. When a
    worker is lost Ray Train starts all of them again, and they resume behind the last epoch.
    """
    fit = ray.remote(_fit).options(num_cpus=0, max_retries=config.cluster.retries)
    running = fit.remote(training, config, gpus)
    yielded = 0
    with followed(ray, running):
        while True:
            ended, _ = ray.wait([running], timeout=_EVERY)
            for epoch in known_epochs(training.folder / CHECKPOINT)[yielded:]:
                yielded += 1
                yield epoch
            if ended:
                break
        refusal = ray.get(running)
    if refusal is not None:
        raise TrainingError(refusal)
    training.network.load_state_dict(load_tensors(training.folder / BEST))
    training.network.eval()


def _fit(training: Training, config: EngineConfig, gpus: int) -> str | None:
    """Run Ray Train to its end, as a task that can be cancelled; return the reason of a failed training."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    storage = training.folder / "ray"
    trainer = TorchTrainer(
        _worker(training, gpus),
        torch_config=TorchConfig(timeout_s=_DAY),  # Ray Train itself notices a lost worker
        scaling_config=ScalingConfig(
            num_workers=config.cluster.trainers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": config.cluster.cpus, **({"GPU": gpus} if gpus else {})},
        ),
        run_config=RunConfig(
            name=training.folder.name,
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=config.cluster.retries),
        ),
    )
    refusal = training.folder / _REFUSAL
    refusal.unlink(missing_ok=True)
    trainer.fit()
    shutil.rmtree(storage, ignore_errors=True)  # Ray Train needs its records only during the run
    return json.loads(refusal.read_text("utf-8")) if refusal.exists() else None


def _worker(training: Training, gpus: int) -> Callable[[], None]:
    def work() -> None:
        import ray.train.torch

        device = ray.train.torch.get_device() if gpus else torch.device("cpu")
        if gpus:
            torch.cuda.set_device(device)  # workers of one machine see each other's GPUs
        try:
            for epoch in training.run(device):
                ray.train.report({"epoch": epoch.epoch, "val_loss": epoch.val_loss, "metric": epoch.metric})
        except TrainingError as error:
            # All workers raise it at the same step, so a retry is of no use. Ray returns metrics alone.
            write_json(training.folder / _REFUSAL, str(error))

    return work
