"""A fit without gradient in a work folder: done once for its key, and replayed when it is repeated."""

import json
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from components.config import TrainingConfig
from components.models.encoders.fitted import Choice, FitRows, FitTask, FittedEncoder
from components.models.networks import Single as SingleNetwork
from components.models.weights import read_tensors
from components.objectives import Supervised
from components.pipeline.train_once import is_trained
from components.references import Trained
from components.runtime.deadline import interruptible
from components.storage.closure import code_digest
from components.storage.digest import digest
from components.storage.tensors import save_tensors
from components.storage.work import work
from components.targets import Targets
from components.training.batches import SampleSource, Source, open_samples
from components.training.checkpoint import Epoch, read_history
from components.training.loop import BEST

_ROWS = 256  # of a batch
_CPU = torch.device("cpu")


def fit_once(
    root: Path,
    name: str,
    key: str,
    encoder: FittedEncoder,
    targets: Targets,
    sources: Callable[[torch.device], tuple[Source, Source]],
    config: TrainingConfig,
    *,
    seed: int,
    choice: Choice | None,
    row_weights: np.ndarray | None,
) -> Generator[Epoch, None, Trained]:
    """Fit an encoder without gradient unless that has been done for ``key``; either way it is then fitted.

    A fit that is killed begins again; it takes seconds.

    Args:
        root: Folder of work folders.
        name: Name of the input.
        key: Digest of what the result depends on, besides the code of this function.
        encoder: Encoder to fit.
        targets: What is predicted.
        sources: Opens training and validation rows for a device; called only if there is work to do.
        config: Weights of the classes.
        seed: Seed of every random draw.
        choice: Hyper-parameters of the fit to all rows; None chooses them on validation.
        row_weights: (N,) weights of the training rows, with mean 1; None weighs all alike.

    Yields:
        The one epoch that a fit is counted as.
    """
    with work(root, f"{name}-{digest(key, code_digest(*FIT_STEPS))}") as job:
        if not is_trained(job):
            started = time.monotonic()
            training, validation = sources(_CPU)
            train, val = _rows(training, name), _rows(validation, name)
            balanced = config.class_weights == "balanced"
            task = FitTask(targets, train, val, balanced, seed, choice, row_weights)
            with interruptible():
                head, choice = encoder.fit_rows(task)
            network = SingleNetwork(name, encoder, head)
            train_loss, _ = _measure(network, targets, train)
            # A fit to all rows has none beside those that it has learned from.
            val_loss, metric = _measure(network, targets, val if len(validation) else train)
            save_tensors(job.folder / BEST, network.state_dict())
            epoch = Epoch(0, train_loss, val_loss, metric, 0.0, time.monotonic() - started)
            job.finish({"history": [asdict(epoch)], "choice": choice})
        else:
            encoder.load_state_dict(read_tensors(job.folder / BEST, "encoder."))
        history = read_history(job.folder)
    yield from history
    return Trained(name, str(job.folder), 1, 0, history[0].metric, 0)


def choice_of(trained: Trained) -> Choice:
    """Read the hyper-parameters that a fit has chosen."""
    return read_choice(Path(trained.folder))


def read_choice(folder: Path) -> Choice:
    """Read the hyper-parameters that the fit of a work folder has chosen."""
    choice: Choice = json.loads((folder / "done.json").read_text("utf-8"))["choice"]
    return choice


def _rows(source: Source, name: str) -> FitRows:
    def batches() -> Iterator[dict[str, Tensor]]:
        for positions in torch.arange(len(source)).split(_ROWS) if len(source) else ():
            yield dict(source.batch(positions).inputs[name].batch)

    return FitRows(batches, source.targets)


@torch.inference_mode()
def _measure(network: SingleNetwork, targets: Targets, rows: FitRows) -> tuple[float, float]:
    """Compute the mean loss and the primary target's metric."""
    natural = torch.cat([network.head(network.encoder(batch)) for batch in rows.batches()])  # (N, K)
    present = torch.ones(len(natural), 1, dtype=torch.bool)
    return Supervised(targets, TrainingConfig(), rows.values).evaluate(natural, rows.values, present)


FIT_STEPS = (fit_once, SampleSource, open_samples)
"""Steps of every fit without gradient: the rows that it is given, the fit, and its measurement."""
