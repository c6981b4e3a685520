"""Search by Optuna for one fusion, pipeline and seed; it can resume after a kill at any moment."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from components.config.sweep import SpaceConfig, is_whole, option
from components.errors import ConfigError
from components.seeding import seed_of
from components.storage.sqlite_url import sqlite_url
from components.sweep.plan import Trial
from components.sweep.trial import TrialResult, direction
from components.targets import rank

_RESULT, _DIGEST = "result", "digest"
_STATES = {
    "finished": TrialState.FAIL,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}  # without a value


def open_storage(file: Path) -> optuna.storages.BaseStorage:
    """Open the database of a sweep's studies, to which only the flow's process writes."""
    return optuna.storages.RDBStorage(sqlite_url(file))


class Study:
    """Study that proposes trials and stores their results; the first trial has the defaults.

    Proposals depend only on the seed and on the trials of earlier batches. So a study that was interrupted
    proposes the same trials as one that was not.

    Args:
        storage: Database of the studies.
        name: Name of the study in the database.
        fusion: Name of the fusion.
        seed: Seed of the pipeline.
        metric: Validation metric to optimise.
        space: Values to try, by option; options that the fusion lacks are ignored.
        trials: Number of trials besides the defaults; 0 if the fusion has no option of the space.
        batch: Number of trials proposed at a time.
        check: Function that raises ConfigError for options that exclude each other.
    """

    def __init__(
        self,
        storage: optuna.storages.BaseStorage,
        name: str,
        *,
        fusion: str,
        seed: int,
        metric: str,
        space: Mapping[str, SpaceConfig],
        trials: int,
        batch: int,
        check: Callable[[Trial], object],
    ) -> None:
        self._study = optuna.create_study(
            storage=storage, study_name=name, direction=direction(metric), load_if_exists=True
        )
        self.name, self.fusion, self.seed = name, fusion, seed
        self._metric, self._batch, self._check = metric, batch, check
        self._space = {path: part for path, part in space.items() if option(fusion, path) is not None}
        self.trials = 1 + (trials if self._space else 0)

    def ask(self) -> list[Trial]:
        """Return the open trials of the current batch, else those of the next; none at the end."""
        asked = self._asked()
        while len(asked) < self.trials and (len(asked) % self._batch or not self._open(asked)):
            self._propose()
            asked = self._asked()
        return [self._as_trial(trial) for trial in self._open(asked).values()]

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Store the result of a trial, and of equal trials in its batch."""
        for frozen in self._asked():
            if frozen.state == TrialState.RUNNING and frozen.user_attrs.get(_DIGEST) == trial.digest:
                self._finish(frozen, result)

    def earlier(self, trial: Trial) -> list[tuple[float, ...]]:
        """Return the validation metric per epoch of each finished trial of earlier batches."""
        start = trial.number - trial.number % self._batch
        return [
            result.history
            for other, result in self.results()
            if other.number < start and result.status == "finished"
        ]

    def results(self) -> list[tuple[Trial, TrialResult]]:
        """Return all results so far, one per distinct trial, in the order of the proposals."""
        results = {
            frozen.user_attrs[_DIGEST]: (self._as_trial(frozen), TrialResult.from_json(stored))
            for frozen in reversed(self._asked())
            if (stored := frozen.user_attrs.get(_RESULT)) is not None and frozen.state.is_finished()
        }
        return list(reversed(results.values()))

    def best(self) -> tuple[Trial, TrialResult] | None:
        """Return the finished trial with the best validation metric; None if none finished."""
        finished = [(trial, result) for trial, result in self.results() if result.status == "finished"]
        return max(finished, key=lambda each: rank(self._metric, each[1].metric, each[1].loss), default=None)

    def _asked(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _open(self, asked: list[FrozenTrial]) -> dict[str, FrozenTrial]:
        """Return trials without a result, by digest; a proposal that was interrupted is completed first."""
        pending: dict[str, FrozenTrial] = {}
        for frozen in asked:
            if frozen.state != TrialState.RUNNING:
                continue
            if _DIGEST not in frozen.user_attrs:
                self._complete(frozen)
                return self._open(self._asked())
            pending.setdefault(frozen.user_attrs[_DIGEST], frozen)
        return pending

    def _propose(self) -> None:
        self._study.ask()
        self._complete(self._asked()[-1])

    def _complete(self, frozen: FrozenTrial) -> None:
        """Draw the options of a new trial, and end it if they exclude each other or were tried before."""
        drawing = optuna.Trial(self._study, frozen._trial_id)
        params = {} if frozen.number == 0 else {path: self._draw(drawing, path) for path in self._space}
        trial = Trial(frozen.number, self.fusion, self.seed, params)
        try:
            self._check(trial)
        except ConfigError as error:
            drawing.set_user_attr("refused", str(error))
            self._study.tell(frozen.number, state=TrialState.FAIL)
            return
        drawing.set_user_attr("params", params)
        drawing.set_user_attr(_DIGEST, trial.digest)
        for tried, result in self.results():
            if tried.digest == trial.digest:
                self._finish(self._asked()[frozen.number], result)

    def _draw(self, trial: optuna.Trial, path: str) -> Any:
        space = self._space[path]
        # Each draw has its own sampler, so that it does not depend on earlier draws of this process.
        seed = seed_of(self.seed, self.name, str(trial.number), path)
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        if space.choices is not None:
            return trial.suggest_categorical(path, space.choices)
        assert space.low is not None
        assert space.high is not None
        field = option(self.fusion, path)
        assert field is not None
        if is_whole(field):
            return trial.suggest_int(
                path, int(space.low), int(space.high), log=space.log, step=int(space.step or 1)
            )
        return trial.suggest_float(path, space.low, space.high, log=space.log, step=space.step)

    def _finish(self, frozen: FrozenTrial, result: TrialResult) -> None:
        writing = optuna.Trial(self._study, frozen._trial_id)
        writing.set_user_attr(_RESULT, result.to_json())
        for epoch, value in enumerate(result.history):
            writing.report(value, epoch)
        if result.status == "finished" and not math.isnan(result.metric):
            self._study.tell(frozen.number, result.metric)
        else:
            self._study.tell(frozen.number, state=_STATES[result.status])

    def _as_trial(self, frozen: FrozenTrial) -> Trial:
        return Trial(frozen.number, self.fusion, self.seed, frozen.user_attrs["params"])
