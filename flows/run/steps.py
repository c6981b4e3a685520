"""Steps of a retraining as tasks of the flow that calls them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from prefect import Task, get_run_logger
from prefect.exceptions import CancelledRun
from prefect.futures import PrefectFuture

from components.config import PipelineConfig
from components.pipeline.plain import PlainSteps
from components.references import Learner, Missing
from components.runtime.deadline import Allowance
from flows.workers.pool import WORKERS
from tasks.context import Context
from tasks.data import extract_task, ingest_task, preprocess_task
from tasks.evaluate import evaluate_task
from tasks.measure import audit_task, explain_task, retrieval_task, robustness_task
from tasks.promote import promote_task
from tasks.report import report_task
from tasks.train import (
    align_task,
    boost_task,
    combine_task,
    cross_fit_task,
    fit_task,
    fuse_task,
    joint_task,
    pretrain_task,
    probe_task,
    refit_task,
    worth_task,
)

TASKS: dict[str, Task[..., Any]] = {
    "ingest": ingest_task,
    "preprocess": preprocess_task,
    "pretrain": pretrain_task,
    "fit": fit_task,
    "extract": extract_task,
    "probe": probe_task,
    "cross_fit": cross_fit_task,
    "worth": worth_task,
    "combine": combine_task,
    "refit": refit_task,
    "fuse": fuse_task,
    "boost": boost_task,
    "joint": joint_task,
    "align": align_task,
    "evaluate": evaluate_task,
    "retrieval": retrieval_task,
    "robustness": robustness_task,
    "explain": explain_task,
    "audit": audit_task,
    "promote": promote_task,
    "report": report_task,
}
"""Task of each step of :class:`PlainSteps`; takes the run, and what the step takes."""


@dataclass(frozen=True)
class _Attempt:
    """An optional step that runs.

    Attributes:
        step: Name of the step.
        future: Result of its task.
    """

    step: str
    future: Any


class SubmittedSteps:
    """Submits the task of each step, and gives its future for the value.

    Prefect resolves futures among the arguments of a task, in dictionaries too: they stand in for values.

    Args:
        run: The run that the steps belong to.
        before: By input, futures that its preprocessing waits for.
    """

    def __init__(self, run: Context, before: Mapping[str, Sequence[Any]]) -> None:
        self.run = run
        self.before = before
        self.lanes = WORKERS
        self.began = run.began

    def within(self, allowance: Allowance | None) -> "SubmittedSteps":
        return SubmittedSteps(replace(self.run, allowance=allowance), self.before)

    def with_config(self, config: PipelineConfig) -> "SubmittedSteps":
        return SubmittedSteps(replace(self.run, config=config), self.before)

    def __getattr__(self, step: str) -> Callable[..., Any]:
        if step not in TASKS:
            raise AttributeError(step)
        return partial(TASKS[step].submit, self.run)

    def preprocess(self, dataset: Any, learner: Learner) -> Any:
        return preprocess_task.submit(self.run, dataset, learner, wait_for=self.before.get(learner.input))

    def promote(self, dataset: Any, evaluation: Any, robustness: Any) -> Any:
        unmeasured = robustness if isinstance(robustness, Missing) else None
        return promote_task.submit(self.run, dataset, evaluation, unmeasured)

    def wait(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self.wait(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.wait(each) for each in value]
        if isinstance(value, _Attempt):
            return self._result_or_missing(value)
        return value.result() if isinstance(value, PrefectFuture) else value

    def attempt(self, step: str, run: Callable[..., Any], *arguments: Any) -> _Attempt:
        return _Attempt(step, run(*arguments))

    def _result_or_missing(self, attempt: _Attempt) -> Any:
        """Wait until the task has an end, retries included."""
        try:
            return self.wait(attempt.future)
        except CancelledRun:  # the whole run is to end
            raise
        except Exception as error:
            missing = Missing.because(attempt.step, error)
            get_run_logger().warning("The run continues without %s", missing)
            return missing


def submitted(run: Context, before: Mapping[str, Sequence[Any]] | None = None) -> PlainSteps:
    """Give the steps of a run as its flow's tasks; their futures stand in for values.

    Args:
        run: The run.
        before: By input, futures that its preprocessing waits for, and so all that follows.
    """
    return cast(PlainSteps, SubmittedSteps(run, before or {}))
