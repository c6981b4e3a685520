"""A training in a work folder: done once for its key, gone on with after a kill, replayed when repeated."""

import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from components.config import EngineConfig, LoopConfig, ModalityDropout
from components.engine import open_engine
from components.objectives import Objective
from components.objectives.balance import build_objective
from components.references import Trained
from components.runtime.deadline import current
from components.storage.atomic import replacing
from components.storage.closure import code_digest
from components.storage.digest import digest
from components.storage.tensors import is_whole, load_tensors
from components.storage.work import Work, work
from components.training.batches import SampleSource, Source, open_embeddings
from components.training.checkpoint import Epoch, read_history
from components.training.loop import BEST, best_epoch, is_over
from components.training.task import Training

TRAINING = (Training, SampleSource, open_embeddings, build_objective)
"""Steps of every training: the loop, the rows that it is given, and the losses of targets."""


def train_once(
    root: Path,
    name: str,
    key: str,
    network: nn.Module,
    objective: Callable[[Source], Objective],
    sources: Callable[[torch.device], tuple[Source, Source]],
    config: LoopConfig,
    *,
    metric_name: str,
    seed: int,
    engine: EngineConfig,
    modality_dropout: ModalityDropout | None = None,
    inputs: Sequence[str] = (),
    stop: int | None = None,
) -> Generator[Epoch, None, Trained]:
    """Train ``network`` unless that has been done for ``key``; either way it then has the best weights.

    Args:
        root: Folder of work folders.
        name: What is trained, for people.
        key: Digest of what the result depends on, besides the code of the training itself.
        network: What is trained.
        objective: Makes the objective, given the training rows.
        sources: Opens training and validation rows for a device; called only if there is work to do.
        metric_name: The objective's.
        engine: Where it is trained.

    Other arguments are those of :func:`components.training.loop.train`.

    A training that its deadline ends is not done: a later run goes on behind its last epoch. The weights that
    it has reached are copied to a folder that is named by the number of epochs, which nothing else reads.

    Yields:
        Every epoch, also those of earlier processes.
    """
    is_complete = True
    code = code_digest(*TRAINING, type(network))
    shared = [f"{engine.trainers} trainers"] if engine.trainers > 1 else []
    with work(root, f"{name}-{digest(key, code, *shared)}") as job:
        if not is_trained(job):
            training = Training(
                network,
                objective,
                sources,
                config,
                seed,
                job.folder,
                modality_dropout,
                tuple(inputs),
                stop,
                current(),
            )
            history = []
            for epoch in open_engine(engine).train(training):
                history.append(epoch)
                yield epoch
            is_complete = is_over(history, config, metric_name, stop)
            if not is_complete:
                job = _copied(job, len(history))
            job.finish({"history": [asdict(epoch) for epoch in history]})
        else:
            network.load_state_dict(load_tensors(job.folder / BEST))
            network.eval()
            history = read_history(job.folder)
            yield from history
    best = best_epoch(history, metric_name) if stop is None else history[-1]
    return Trained(
        name=name,
        folder=str(job.folder),
        epochs=len(history),
        best_epoch=best.epoch,
        metric=best.metric,
        parameters=sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        is_complete=is_complete,
    )


def _copied(job: Work, epochs: int) -> Work:
    """Copy the weights of a training that is not done, so that later epochs do not change them."""
    part = Work(job.folder / f"after-{epochs}")
    with replacing(part.folder / BEST) as temporary:
        shutil.copyfile(job.folder / BEST, temporary)
    return part


def is_trained(job: Work) -> bool:
    """Check that a training is finished and its weights are whole; else forget it."""
    if job.result is None:
        return False
    if is_whole(job.folder / BEST):
        return True
    job.forget()
    return False
