"""One trial: a fusion trained on cached features, ended early where it lags behind."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import optuna

from components.config.pipeline import PipelineConfig
from components.engine import open_engine
from components.evaluation.intervals import Stored
from components.pipeline.fuse import fuse
from components.references import Dataset, Features, Single, Trained
from components.targets.metrics import higher_is_better, rank
from components.training.checkpoint import Epoch, read_history
from components.training.faults import TrainingError

_STARTUP_TRIALS = 4  # none is pruned before so many have ended
_WARMUP = 0.25  # share of the epochs that every trial is given

optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass(frozen=True)
class TrialResult(Stored):
    """What came of a trial.

    Attributes:
        status: ``pruned`` if ended early, ``failed`` if its loss ran away.
        history: Validation metric by epoch.
        metric: Best of them.
        loss: Validation loss of that epoch.
        seconds: Spent in its epochs, in whichever run that was.
        training: Where the weights are; None unless finished.
        note: Why it failed.
    """

    status: Literal["finished", "pruned", "failed"]
    history: tuple[float, ...]
    metric: float
    loss: float
    seconds: float
    training: Trained | None = None
    note: str = ""


class Pruner:
    """Optuna's median rule (Golovin et al. 2017), asked where the training is and not where the study is.

    Args:
        metric: Name of the validation metric.
        earlier: Validation metric by epoch of trials that ended before this one was proposed.
        epochs: Most epochs of this one.
    """

    def __init__(self, metric: str, earlier: Sequence[Sequence[float]], epochs: int) -> None:
        pruner = optuna.pruners.MedianPruner(_STARTUP_TRIALS, n_warmup_steps=max(1, int(_WARMUP * epochs)))
        self._study = optuna.create_study(direction=direction(metric), pruner=pruner)
        for history in earlier:
            values = dict(enumerate(history))
            self._study.add_trial(optuna.create_trial(value=history[-1], intermediate_values=values))
        self._trial = self._study.ask()

    def __call__(self, epoch: Epoch) -> bool:
        """Whether to end the trial behind this epoch."""
        self._trial.report(epoch.metric, epoch.epoch)
        return self._trial.should_prune()


def begin_trial(
    dataset: Dataset,
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
    config: PipelineConfig,
    cache: Path,
    pruner: Pruner | None,
) -> Generator[Epoch, None, TrialResult]:
    """:func:`run_trial` where the pipeline's engine runs it: in this process, or on a worker of a cluster."""
    steps = open_engine(config.engine).steps
    return steps(run_trial, dataset, features, singles, config.here, cache, pruner)


def run_trial(
    dataset: Dataset,
    features: Mapping[str, Features],
    singles: Mapping[str, Single],
    config: PipelineConfig,
    cache: Path,
    pruner: Pruner | None,
) -> Generator[Epoch, None, TrialResult]:
    """Train the pipeline's fusion on cached features.

    Args:
        dataset, features, singles, config, cache: As :func:`components.pipeline.fuse.fuse` takes them.
        pruner: Ends it early; None lets it run.

    Yields:
        Epochs, also those made before an interruption or in an earlier run on the same content.
    """
    history: list[Epoch] = []
    steps = fuse(dataset, features, singles, config, cache)
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
    """As Optuna says it."""
    return "maximize" if higher_is_better(metric) else "minimize"


def _result(
    status: Literal["finished", "pruned", "failed"],
    history: Sequence[Epoch],
    metric: str,
    trained: Trained | None = None,
    note: str = "",
) -> TrialResult:
    nothing = float("nan")
    best = max(history, key=lambda epoch: rank(metric, epoch.metric, epoch.val_loss), default=None)
    return TrialResult(
        status=status,
        history=tuple(epoch.metric for epoch in history),
        metric=nothing if best is None else best.metric,
        loss=nothing if best is None else best.val_loss,
        seconds=sum(epoch.seconds for epoch in history),
        training=trained,
        note=note,
    )
