"""Time of a run with ``time_limit``: its division, the order of what it is spent on, and what is left out."""

import math
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar

from components.config import PipelineConfig
from components.config.balance import NoCure
from components.config.durations import limit_seconds
from components.config.encoders import FittedConfig
from components.config.fusion import LateConfig
from components.errors import OutOfTimeError
from components.models.encoders import needs_fit
from components.models.encoders.auto import MEASURED_FOLDS, expected_seconds
from components.pipeline.folds import number_of_folds
from components.pipeline.parts import Parts
from components.references import Dataset, Learner, LeftOut, Worth
from components.runtime.deadline import Allowance, due, interruptible
from components.training.folds import Fold

_LEAST_SHARE = 0.25  # of the limit, for a run that is resumed when it has had all
_RESERVE = 20.0  # seconds for the choice, the evaluation, promotion and the report
_ROWS_PER_SECOND = 5_000  # of the reserve
_MOST_RESERVE = 0.3  # of the limit
_FUSION = 0.1  # of the limit, for a fusion that is trained
_JOINT = 0.35  # of the limit, for encoders and fusion that are trained together
_TRAINED = 0.8  # of the time of trainings; the rest is for what comes after each, such as the extraction
_PART_OF_A_TRAINING = 0.3  # from this part of its expected time on, a training is begun
_STEADY = (0.2, 10.0)  # bounds of how much slower or faster this machine is taken to be

TRAININGS = frozenset({"pretrain", "fit", "fuse", "joint", "align"})
"""Steps whose trainings look at the clock themselves, so that they end with the best weights so far."""

Value = TypeVar("Value")


class Budget:
    """Time of one run, and what it has left out.

    Args:
        config: The pipeline.
        began: Unix time at which the run began, if it had never been interrupted.
        lanes: Number of steps that run side by side.
        now: Clock, in Unix time.

    Attributes:
        left_out: What the run had no time for.
    """

    def __init__(
        self, config: PipelineConfig, began: float, lanes: int, now: Callable[[], float] = time.time
    ) -> None:
        self.limit = math.inf if config.time_limit is None else limit_seconds(config.time_limit)
        self.left_out: list[LeftOut] = []
        self._now, self._lanes, self._speed = now, lanes, 1.0
        self._ends = math.inf
        if self.is_limited:
            self._ends = max(began + self.limit, now() + _LEAST_SHARE * self.limit)

    @classmethod
    def endless(cls, config: PipelineConfig) -> Self:
        """Give as much time as the work takes, whatever the pipeline says."""
        return cls(config.model_copy(update={"time_limit": None}), 0.0, 1)

    @property
    def is_limited(self) -> bool:
        """True where the pipeline has a ``time_limit``."""
        return math.isfinite(self.limit)

    def training_ends(self, dataset: Dataset) -> float:
        """Return the Unix time by which nothing more is trained, so that the rest has its reserve."""
        reserve = _RESERVE + dataset.rows / _ROWS_PER_SECOND
        return self._ends - min(_MOST_RESERVE * self.limit, reserve) if self.is_limited else math.inf

    def learners_end(self, config: PipelineConfig, dataset: Dataset) -> float:
        """Return the Unix time by which the learners of all inputs end, before what is trained above them."""
        if not self.is_limited:
            return math.inf
        above = _JOINT if trains_encoders(config) else _FUSION
        if isinstance(config.fusion, LateConfig) and not trains_encoders(config):
            above = 0.0
        return self.training_ends(dataset) - above * self.limit

    def until(self, ends: float, seconds: float | None = None) -> Allowance | None:
        """Give the time of steps that end by then; None without a limit."""
        return Allowance(ends, seconds) if self.is_limited else None

    def optional(self) -> Allowance | None:
        """Give the time of the optional steps after the evaluation; None without a limit."""
        return self.until(self._ends - min(_RESERVE, _MOST_RESERVE * self.limit) / 4)

    def folds_in_time(
        self, config: PipelineConfig, dataset: Dataset, learners: Sequence[Learner]
    ) -> PipelineConfig:
        """Take so few folds that half of the time is expected to do for the cheapest learner of each input.

        Args:
            config: The pipeline; folds that its file gives are kept.
            dataset: The samples.
            learners: Those of all inputs.
        """
        if not self.is_limited or config.training.folds is not None:
            return config
        usual = number_of_folds(config, dataset, len(learners))
        cheapest = self.rounds(config, dataset, learners)[0]
        half = (self.learners_end(config, dataset) - self._now()) * self._lanes / 2

        def is_affordable(folds: int) -> bool:
            return sum(self._expected(config, dataset, each, folds) for each in cheapest) <= half

        folds = next((each for each in (usual, 3, 2) if each <= usual and is_affordable(each)), 0)
        if folds == usual:
            return config
        self.left_out.append(LeftOut("folds", f"{folds} of {usual} folds"))
        return _with_folds(config, folds)

    def rounds(
        self, config: PipelineConfig, dataset: Dataset, learners: Sequence[Learner]
    ) -> list[list[Learner]]:
        """Put the learners into rounds of at most one learner per input, the cheapest first.

        Without a limit there are two where the first decides about the others, else one.

        Args:
            config: The pipeline.
            dataset: The samples.
            learners: Those of all inputs.
        """
        if not self.is_limited and not self.chooses_by_worth(config, learners):
            return [list(learners)]
        rows = dataset.splits.get("train", 0)
        by_input: dict[str, list[Learner]] = {}
        for each in learners:
            by_input.setdefault(each.input, []).append(each)
        if self.is_limited:
            for own in by_input.values():
                own.sort(key=lambda each: expected_seconds(each.options, config.inputs[each.input], rows))
        most = max(map(len, by_input.values()))
        rounds = [[own[turn] for own in by_input.values() if turn < len(own)] for turn in range(most)]
        if self.is_limited or not rounds[1:]:
            return rounds
        later = {each.label for part in rounds[1:] for each in part}
        return [rounds[0], [each for each in learners if each.label in later]]

    def chooses_by_worth(self, config: PipelineConfig, learners: Sequence[Learner]) -> bool:
        """Tell if the first learner of each input decides whether the input gets others.

        That is for late fusion, which cannot learn from an input what the input does not say by itself.
        """
        is_late = config.strategy == "staged" and not config.joint_epochs
        open_inputs = [name for name, section in config.inputs.items() if not section.encoders]
        return (
            config.quality != "best"
            and len(config.inputs) > 1
            and is_late
            and isinstance(config.fusion, LateConfig)
            and any([each.input for each in learners].count(name) > 1 for name in open_inputs)
        )

    def worthwhile(
        self, config: PipelineConfig, learners: Sequence[Learner], worths: Mapping[str, Worth]
    ) -> list[Learner]:
        """Keep the learners of inputs that can be worth more; note the others.

        An input of ``auto`` gets no further learner if its first one says nothing by itself and adds nothing
        to the others. With ``fast`` or a limit it gets none if it adds nothing.

        Args:
            config: The pipeline.
            learners: Learners of a later round.
            worths: Worth of each input.
        """
        is_strict = self.is_limited or config.quality == "fast"
        result = []
        for each in learners:
            worth = worths.get(each.input)
            is_idle = worth is not None and not worth.adds and (is_strict or not worth.says_something)
            if is_idle and not config.inputs[each.input].encoders:
                self.left_out.append(LeftOut(each.label, f"{each.input} adds nothing to the other inputs"))
            else:
                result.append(each)
        return result

    def admitted(
        self, config: PipelineConfig, dataset: Dataset, learners: Sequence[Learner], is_first: bool
    ) -> list[Learner]:
        """Keep the learners of a round that can be expected to end in time; note the others.

        Args:
            config: The pipeline.
            dataset: The samples.
            learners: The round.
            is_first: True for the first round, without which there is no model.
        """
        if not self.is_limited or is_first:
            return list(learners)
        folds = number_of_folds(config, dataset, len(learners) + 1)
        left, result = (self.learners_end(config, dataset) - self._now()) * self._lanes, []
        for each in learners:
            needed = self._expected(config, dataset, each, folds)
            least = needed * (_PART_OF_A_TRAINING if is_trained_in_epochs(each) else 1.0)
            if least <= left:
                result.append(each)
                left -= least
            else:
                reason = f"about {needed:.0f} s would be needed, and {max(0.0, left):.0f} s were left"
                self.left_out.append(LeftOut(each.label, reason))
        return result

    def share(self, learners: Sequence[Learner], folds: int, ends: float) -> float | None:
        """Give the seconds of each training to all rows, so that those without each fold fit in as well.

        Args:
            learners: The round.
            folds: Number of folds.
            ends: Unix time by which learners end.
        """
        trained = max(1, sum(map(is_trained_in_epochs, learners)))
        return self._share(ends, trained, folds)

    def share_of_fusion(self, folds: Sequence[Fold], ends: float) -> float | None:
        """Give the seconds of each training of the fusion, with and without each fold."""
        return self._share(ends, 1, len(folds))

    def measure(
        self, config: PipelineConfig, dataset: Dataset, learners: Sequence[Learner], seconds: float
    ) -> None:
        """Note what a round took, for the estimates of the next.

        Args:
            config: The pipeline.
            dataset: The samples.
            learners: The round.
            seconds: Seconds that it took.
        """
        folds = number_of_folds(config, dataset, len(learners) + 1)
        expected = sum(self._expected(config, dataset, each, folds) for each in learners)
        if expected > 0:
            low, high = _STEADY
            self._speed = min(max(self._speed * seconds * self._lanes / expected, low), high)

    def settled(
        self, parts: Parts, learners: Sequence[Learner], config: PipelineConfig, is_first: bool
    ) -> Parts:
        """Take what a round had no time for out of the parts, and of the pipeline.

        A learner counts with all of its folds. If one of the first round has not, the run has no folds.

        Args:
            parts: Parts by label, as values.
            learners: The round.
            config: The pipeline.
            is_first: True for the first round.

        Raises:
            OutOfTimeError: If no input has a learner.
        """
        late, without_folds = set(), False
        for label in (each.label for each in learners):
            values = [part[label] for part in (parts.prepared, parts.encoders, parts.features, parts.singles)]
            if not self.has(**{label: values}):
                late.add(label)
                continue
            if isinstance(parts.unseen.get(label), LeftOut):
                without_folds |= is_first
                if not is_first:
                    self.left_out.append(LeftOut(label, "there was no time for all of its folds"))
                    late.add(label)
                    continue
            training = parts.singles[label].training
            if training is not None and not training.is_complete:
                self.left_out.append(LeftOut(label, f"the training ended after {training.epochs} epochs"))
        parts = _without(parts, late)
        if is_first:
            having = {each.input for each in learners if each.label in parts.singles}
            if not having:
                raise OutOfTimeError(
                    f"time_limit: {config.time_limit} is too short for any encoder of "
                    f"{', '.join(config.inputs)}. Take more, or fewer rows."
                )
            names = [name for name in config.inputs if name in having]
            config = _with_inputs(config, names)
        if without_folds:
            self.left_out.append(LeftOut("folds", "there was no time for them"))
            config = late_instead(_with_folds(config, 0))
            parts = replace(parts, unseen={}, folds=[])
        return replace(parts, config=config)

    def lacks(self, wait: Callable[[Any], Any], **pending: Any) -> bool:
        """Tell if a run with a limit had no time for a result; without a limit nothing is waited for.

        Args:
            wait: Gives the value behind a stand-in.
            pending: Results by name, as values or stand-ins.
        """
        return self.is_limited and not self.has(**{name: wait(each) for name, each in pending.items()})

    def has(self, **values: Any) -> bool:
        """Tell if a result is there, by its name; note the reason if not."""
        for name, value in values.items():
            if (late := _left_out([value] if not isinstance(value, list) else value)) is not None:
                self.left_out.append(LeftOut(name, late.reason))
                return False
        return True

    def _share(self, ends: float, trained: int, folds: int) -> float | None:
        if not self.is_limited:
            return None
        return _TRAINED * (ends - self._now()) * min(self._lanes, trained) / (trained * (1 + folds))

    def _expected(self, config: PipelineConfig, dataset: Dataset, learner: Learner, folds: int) -> float:
        """Estimate the seconds of a learner with its folds on one core, by the speed of this run so far."""
        rows = dataset.splits.get("train", 0)
        seconds = expected_seconds(learner.options, config.inputs[learner.input], rows)
        return seconds * self._speed * (1 + folds) / (1 + MEASURED_FOLDS)


def late_instead(config: PipelineConfig) -> PipelineConfig:
    """Take late fusion, which learns in a moment, in the place of one that is trained."""
    return config.model_copy(update={"fusion": LateConfig(), "balance": NoCure()})


def _with_folds(config: PipelineConfig, folds: int) -> PipelineConfig:
    return config.model_copy(update={"training": config.training.model_copy(update={"folds": folds})})


def _with_inputs(config: PipelineConfig, names: Sequence[str]) -> PipelineConfig:
    inputs = {name: config.inputs[name] for name in names}
    return config.model_copy(update={"inputs": inputs, **({"alignment": None} if len(inputs) == 1 else {})})


def _without(parts: Parts, labels: Container[str]) -> Parts:
    """Parts of the other learners."""

    def others(every: Mapping[str, Value]) -> dict[str, Value]:
        return {label: each for label, each in every.items() if label not in labels}

    return replace(
        parts,
        prepared=others(parts.prepared),
        encoders=others(parts.encoders),
        features=others(parts.features),
        singles=others(parts.singles),
        unseen=others(parts.unseen),
    )


def trains_encoders(config: PipelineConfig) -> bool:
    """Tell if encoders and fusion are trained together."""
    return config.strategy == "joint" or config.joint_epochs > 0


def is_trained_in_epochs(learner: Learner) -> bool:
    """Tell if a learner is trained epoch by epoch, so that a deadline can end it earlier."""
    return needs_fit(learner.options) and not isinstance(learner.options, FittedConfig)


def in_time(
    step: str,
    allowance: Allowance | None,
    run: Callable[..., Value],
    arguments: Sequence[Any],
    *,
    in_epochs: bool,
) -> Value | LeftOut:
    """Run a step within its time.

    Args:
        step: Name of the step, for people.
        allowance: Its time; None for as long as it takes.
        run: The step.
        arguments: Its arguments; if one was left out, so is the step.
        in_epochs: True if its trainings look at the clock themselves.
    """
    late = next(filter(None, map(_left_out, arguments)), None)
    if late is not None:
        return late
    try:
        with due(allowance):
            if in_epochs:
                return run(*arguments)
            with interruptible():
                return run(*arguments)
    except OutOfTimeError as error:
        return LeftOut(step, str(error))


def _left_out(value: Any) -> LeftOut | None:
    """Find a result that was left out, also among those of a list or dictionary."""
    if isinstance(value, LeftOut):
        return value
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next((each for each in values if isinstance(each, LeftOut)), None)
