"""Steps of a retraining as tasks of the flow that calls them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from prefect import Task, get_run_logger
from prefect.exceptions import CancelledRun
from prefect.futures import PrefectFuture

from components.pipeline.steps import Steps
from components.references import (
    Dataset,
    EncoderWeights,
    Features,
    FusedModel,
    Missing,
    Prepared,
    Single,
    Trained,
)
from tasks.align import align_task, pretrain_task, retrieval_task
from tasks.audit import audit_task
from tasks.context import Context
from tasks.evaluate import evaluate_task
from tasks.explain import explain_task
from tasks.extract import extract_task
from tasks.fit import fit_task, probe_task
from tasks.fuse import fuse_task, joint_task
from tasks.ingest import ingest_task
from tasks.preprocess import preprocess_task
from tasks.promote import promote_task
from tasks.report import report_task
from tasks.robustness import robustness_task

Value = TypeVar("Value")


@dataclass(frozen=True)
class _Attempt:
    """An optional step that runs.

    Attributes:
        step: Name of the step.
        future: Result of its task.
    """

    step: str
    future: Any


class SubmittedSteps(Steps):
    """Steps whose methods submit the task and return its future.

    Prefect resolves futures among the arguments of a task, in dictionaries too: they stand in for values.

    Args:
        run: The run that the steps belong to.
        before: By input, futures that its preprocessing and extraction wait for.
    """

    def __init__(self, run: Context, before: Mapping[str, Sequence[Any]] | None = None) -> None:
        self.run = run
        self.before = before or {}

    def wait(self, value: Value) -> Value:
        if isinstance(value, dict):
            return cast(Value, {name: self.wait(each) for name, each in value.items()})
        if isinstance(value, _Attempt):
            return cast(Value, self._result_or_missing(value))
        return cast(Value, value.result()) if isinstance(value, PrefectFuture) else value

    def attempt(self, step: str, run: Callable[..., Value], *arguments: Any) -> Value | Missing:
        return cast(Value, _Attempt(step, run(*arguments)))

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

    def ingest(self) -> Dataset:
        return _submit(ingest_task, self.run)

    def preprocess(self, dataset: Dataset, name: str) -> Prepared:
        return _submit(preprocess_task, self.run, dataset, name, wait_for=self.before.get(name))

    def pretrain(self, dataset: Dataset, prepared: dict[str, Prepared]) -> Trained:
        return _submit(pretrain_task, self.run, dataset, prepared)

    def fit(
        self, dataset: Dataset, prepared: Prepared, name: str, pretrained: Trained | None
    ) -> Single | EncoderWeights:
        return _submit(fit_task, self.run, dataset, prepared, name, pretrained)

    def extract(
        self,
        dataset: Dataset,
        prepared: Prepared,
        encoder: Single | EncoderWeights,
        name: str,
        purpose: str = "",
    ) -> Features:
        arguments = (self.run, dataset, prepared, encoder, name, purpose)
        return _submit(extract_task, *arguments, wait_for=self.before.get(name))

    def probe(self, dataset: Dataset, features: Features, name: str) -> Single:
        return _submit(probe_task, self.run, dataset, features, name)

    def fuse(self, dataset: Dataset, features: dict[str, Features], singles: dict[str, Single]) -> FusedModel:
        return _submit(fuse_task, self.run, dataset, features, singles)

    def joint(
        self,
        dataset: Dataset,
        prepared: dict[str, Prepared],
        features: dict[str, Features],
        singles: dict[str, Single],
        start: FusedModel | None,
        pretrained: Trained | None,
    ) -> tuple[Trained, dict[str, EncoderWeights]]:
        return _submit(joint_task, self.run, dataset, prepared, features, singles, start, pretrained)

    def align(self, dataset: Dataset, fused: FusedModel | None) -> Trained:
        return _submit(align_task, self.run, dataset, fused)

    def evaluate(
        self,
        dataset: Dataset,
        prepared: dict[str, Prepared],
        singles: dict[str, Single],
        features: dict[str, Features],
        fused: FusedModel | None,
        aligned: Trained | None,
    ) -> Any:
        return _submit(evaluate_task, self.run, dataset, prepared, singles, features, fused, aligned)

    def retrieval(self, dataset: Dataset, fused: FusedModel | None, aligned: Trained) -> Any:
        return _submit(retrieval_task, self.run, dataset, fused, aligned)

    def robustness(self, dataset: Dataset, evaluation: Any) -> Any:
        return _submit(robustness_task, self.run, dataset, evaluation)

    def explain(self, dataset: Dataset, evaluation: Any) -> Any:
        return _submit(explain_task, self.run, dataset, evaluation)

    def audit(
        self, dataset: Dataset, prepared: dict[str, Prepared], features: dict[str, Features], evaluation: Any
    ) -> Any:
        return _submit(audit_task, self.run, dataset, prepared, features, evaluation)

    def promote(self, dataset: Dataset, evaluation: Any, robustness: Any) -> Any:
        unmeasured = robustness if isinstance(robustness, Missing) else None
        return _submit(promote_task, self.run, dataset, evaluation, unmeasured)

    def report(self, dataset: Dataset, evaluation: Any, promotion: Any, optional: dict[str, Any]) -> Any:
        return _submit(report_task, self.run, dataset, evaluation, promotion, optional)


def _submit(task: Task[..., Value], *arguments: Any, wait_for: Sequence[Any] | None = None) -> Value:
    """Submit a task; the future has the type of the value that it stands in for."""
    return cast(Value, task.submit(*arguments, wait_for=wait_for))
