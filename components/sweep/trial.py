"""Trial of a sweep: training of a fusion on cached features, with early pruning."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import optuna

from components.config import PipelineConfig
from components.engine import open_engine
from components.evaluation.intervals import Stored
from components.pipeline.fuse import fuse
from components.references import Dataset, Features, OutOfFold, Single, Trained
from components.targets import higher_is_better, rank
from components.training.checkpoint import Epoch, read_history
from components.training.faults import TrainingError

_STARTUP_TRIALS = 4  # trials that end before any is pruned
_WARMUP = 0.25  # share of the epochs before a trial may be pruned

optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass(frozen=True)
class TrialResult(Stored):
    """Result of a trial.

    Attributes:
        status: ``pruned`` if stopped early, ``failed`` if its loss diverged.
        history: Validation metric per epoch.
        metric: Best validation metric.
        loss: Validation loss of the epoch with the best metric.
        seconds: Time of its epochs, in all runs together.
        training: Reference to the weights; None unless finished.
        note: Reason of a failure.
    """

    status: Literal["finished", "pruned", "failed"]
    history: tuple[float, ...]
    metric: float
    loss: float
    seconds: float
    training: Trained | None = None
    note: str = ""


class Pruner:
    """Median rule of Optuna (Golovin et al. 2017); it runs beside the training, apart from the study.

    Args:
        metric: Name of the validation metric.
        earlier: Validation metric per epoch of trials that ended before this one was proposed.
        epochs: Most epochs of this trial.
    """

    def __init__(self, metric: str, earlier: Sequence[Sequence[float]], epochs: int) -> None:
        pruner = optuna.pruners.MedianPruner(_STARTUP_TRIALS, n_warmup_steps=max(1, int(_WARMUP * epochs)))
        self._study = optuna.create_study(direction=direction(metric), pruner=pruner)
        for history in earlier:
            values = dict(enumerate(history))
            self._study.add_trial(optuna.create_trial(value=history[-1], intermediate_values=values))
        self._trial = self._study.ask()

    def __call__(self, epoch: Epoch) -> bool:
        """Return True if the trial should stop after this epoch."""
        self._trial.report(epoch.metric, epoch.epoch)
        return self._trial.should_prune()


def begin_trial(
    dataset: Dataset,
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
    unseen: Mapping[str, OutOfFold],
    config: PipelineConfig,
    cache: Path,
    pruner: Pruner | None,
) -> Generator[Epoch, None, TrialResult]:
    """Start :func:`run_trial` on the pipeline's engine: in this process, or on a worker of a cluster."""
    steps = open_engine(config.engine).steps
    return steps(run_trial, dataset, features, singles, unseen, config.here, cache, pruner)


def run_trial(
    dataset: Dataset,
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
    unseen: Mapping[str, OutOfFold],
    config: PipelineConfig,
    cache: Path,
    pruner: Pruner | None,
) -> Generator[Epoch, None, TrialResult]:
    """Train the pipeline's fusion on cached features.

    Args:
        dataset, features, singles, unseen, config, cache: See :func:`components.pipeline.fuse.fuse`.
        pruner: Rule that stops it early; None never stops it.

    Yields:
        Epochs, including those before an interruption and those of an earlier run on the same content.
    """
    history: list[Epoch] = []
    steps = fuse(dataset, features, singles, unseen, config, cache)
    while True:
        try:
            epoch = next(steps)
        except StopIteration as end:
            trained: Trained = end.value
            break
        except TrainingError as error:
            return _result("failed", history, config.target.metric, note=str(error))
        history.append(epoch)
        yield epoch
        if pruner is not None and pruner(epoch):
            steps.close()
            return _result("pruned", history, config.target.metric)
    return _result("finished", read_history(trained.folder), config.target.metric, trained)


def direction(metric: str) -> Literal["minimize", "maximize"]:
    """Return Optuna's name of the metric's direction."""
    return "maximize" if higher_is_better(metric) else "minimize"


def _result(
    status: Literal["finished", "pruned", "failed"],
    history: Sequence[Epoch],
    metric: str,
    trained: Trained | None = None,
    note: str = "",
) -> TrialResult:
    undefined = float("nan")
    best = max(history, key=lambda epoch: rank(metric, epoch.metric, epoch.val_loss), default=None)
    return TrialResult(
        status=status,
        history=tuple(epoch.metric for epoch in history),
        metric=undefined if best is None else best.metric,
        loss=undefined if best is None else best.val_loss,
        seconds=sum(epoch.seconds for epoch in history),
        training=trained,
        note=note,
    )
