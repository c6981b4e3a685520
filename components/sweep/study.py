"""Optuna's search for one fusion, pipeline and seed, that can be cut off at any moment and gone on with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from components.config.sweep import SpaceConfig, is_whole, option
from components.errors import ConfigError
from components.seeding import seed_of
from components.sweep.plan import Trial
from components.sweep.trial import TrialResult, direction
from components.targets.metrics import rank

_RESULT, _DIGEST = "result", "digest"
_STATES = {
    "finished": TrialState.FAIL,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}  # without a value


def open_storage(file: Path) -> optuna.storages.BaseStorage:
    """The database of the studies of a sweep. SQLite survives a kill; only the flow's process writes."""
    return optuna.storages.RDBStorage(f"sqlite:///{file}")


class Study:
    """Proposes trials and is told what came of them. The first trial is that of the defaults.

    Proposals depend on the seed and on the trials of earlier batches alone, so a study that was cut off
    ends in the same trials as one that was not.

    Args:
        storage: Where it is kept.
        name: Of the study in there.
        fusion: Name of the fusion.
        seed: Of the pipeline.
        metric: What is searched for on validation.
        space: What is tried; options that the fusion lacks are left out.
        trials: Besides the defaults; none where nothing is left of the space.
        batch: Trials proposed at once.
        check: Raises ConfigError for options that do not go together.
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
        """Trials to run now: those of a batch that is under way, else those of the next; none at the end."""
        asked = self._asked()
        while len(asked) < self.trials and (len(asked) % self._batch or not self._open(asked)):
            self._propose()
            asked = self._asked()
        return [self._as_trial(trial) for trial in self._open(asked).values()]

    def tell(self, trial: Trial, result: TrialResult) -> None:
        """Keep what came of a trial, and of others in the batch that turned out to be the same."""
        for frozen in self._asked():
            if frozen.state == TrialState.RUNNING and frozen.user_attrs.get(_DIGEST) == trial.digest:
                self._finish(frozen, result)

    def earlier(self, trial: Trial) -> list[tuple[float, ...]]:
        """Validation metrics by epoch of finished trials of earlier batches."""
        start = trial.number - trial.number % self._batch
        found = [result for known, result in self.results() if known.number < start]
        return [result.history for result in found if result.status == "finished"]

    def results(self) -> list[tuple[Trial, TrialResult]]:
        """Everything told so far, each trial once, in the order of the proposals."""
        told = {
            frozen.user_attrs[_DIGEST]: (self._as_trial(frozen), TrialResult.from_json(stored))
            for frozen in reversed(self._asked())
            if (stored := frozen.user_attrs.get(_RESULT)) is not None and frozen.state.is_finished()
        }
        return list(reversed(told.values()))

    def best(self) -> tuple[Trial, TrialResult] | None:
        """The finished trial that did best on validation; None if none finished."""
        finished = [(trial, result) for trial, result in self.results() if result.status == "finished"]
        return max(finished, key=lambda each: rank(self._metric, each[1].metric, each[1].loss), default=None)

    def _asked(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _open(self, asked: list[FrozenTrial]) -> dict[str, FrozenTrial]:
        """Trials without a result by digest; what was cut off while it was proposed is completed first."""
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
        """Draw the options of a new trial; end it where they do not go together or have been tried."""
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
        # a sampler of its own for every draw: what it gives does not depend on how often the study was opened
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
