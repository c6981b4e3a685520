"""Steps of a retraining as its text calls them, and the results that it gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

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

Value = TypeVar("Value")


@dataclass(frozen=True)
class Parts:
    """Everything that a model is made of, as references.

    Attributes:
        dataset: The samples.
        prepared: Canonical samples by input.
        pretrained: Encoders aligned before their fits; None without such an alignment.
        encoders: Fit or frozen encoder by input.
        features: Embeddings by input.
        singles: Each input on its own: encoder and head.
        fused: The fusion; None with a single input.
    """

    dataset: Dataset
    prepared: dict[str, Prepared]
    pretrained: Trained | None
    encoders: dict[str, Single | EncoderWeights]
    features: dict[str, Features]
    singles: dict[str, Single]
    fused: FusedModel | None


@dataclass(frozen=True)
class Retrained:
    """Results of a retraining, in the form that its runner gives them.

    Attributes:
        parts: What the model is made of.
        evaluation: Of all candidates and the delivered model, on test.
        optional: Results of the steps that the configuration asks for; :class:`Missing` where one failed.
        promotion: Decision about the champion.
        report: Path of the page, or :class:`Missing`.
    """

    parts: Parts
    evaluation: Any
    optional: dict[str, Any]
    promotion: Any
    report: Any

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Steps that failed without failing the run."""
        results = [*self.optional.values(), self.report]
        return tuple(result for result in results if isinstance(result, Missing))


class Steps(Protocol):
    """Runs each step of :mod:`components.pipeline.run`.

    A step may give its value, or a stand-in for it while it runs elsewhere. The text hands stand-ins from
    step to step as they are, and calls :meth:`wait` where it needs a value.
    """

    def wait(self, value: Value) -> Value:
        """Give the value behind a stand-in, or behind each of a dictionary.

        Raises:
            Exception: The failure of the step, unless it was begun by :meth:`attempt`.
        """

    def attempt(self, step: str, run: Callable[..., Value], *arguments: Any) -> Value | Missing:
        """Begin an optional step, whose failure :meth:`wait` gives as :class:`Missing`."""

    def ingest(self) -> Dataset:
        """Check the manifest."""

    def preprocess(self, dataset: Dataset, name: str) -> Prepared:
        """Bring the samples of an input into their canonical form."""

    def pretrain(self, dataset: Dataset, prepared: dict[str, Prepared]) -> Trained:
        """Align encoders from scratch before their fits."""

    def fit(
        self, dataset: Dataset, prepared: Prepared, name: str, pretrained: Trained | None
    ) -> Single | EncoderWeights:
        """Train the encoder of an input with a head of its own, or take it frozen."""

    def extract(
        self,
        dataset: Dataset,
        prepared: Prepared,
        encoder: Single | EncoderWeights,
        name: str,
        purpose: str = "",
    ) -> Features:
        """Embed the samples of an input."""

    def probe(self, dataset: Dataset, features: Features, name: str) -> Single:
        """Fit a linear head to the features of a frozen encoder."""

    def fuse(self, dataset: Dataset, features: dict[str, Features], singles: dict[str, Single]) -> FusedModel:
        """Train the fusion on cached features."""

    def joint(
        self,
        dataset: Dataset,
        prepared: dict[str, Prepared],
        features: dict[str, Features],
        singles: dict[str, Single],
        start: FusedModel | None,
        pretrained: Trained | None,
    ) -> tuple[Trained, dict[str, EncoderWeights]]:
        """Train encoders and fusion together, from nothing or from a staged fusion."""

    def align(self, dataset: Dataset, fused: FusedModel | None) -> Trained:
        """Train the projections for search."""

    def evaluate(
        self,
        dataset: Dataset,
        prepared: dict[str, Prepared],
        singles: dict[str, Single],
        features: dict[str, Features],
        fused: FusedModel | None,
        aligned: Trained | None,
    ) -> Any:
        """Choose on validation, write the bundle, evaluate it on test."""

    def retrieval(self, dataset: Dataset, fused: FusedModel | None, aligned: Trained) -> Any:
        """Evaluate search between inputs on test."""

    def robustness(self, dataset: Dataset, evaluation: Any) -> Any:
        """Measure the cost of damaged and of missing inputs."""

    def explain(self, dataset: Dataset, evaluation: Any) -> Any:
        """Attribute predictions to parts of the inputs."""

    def audit(
        self, dataset: Dataset, prepared: dict[str, Prepared], features: dict[str, Features], evaluation: Any
    ) -> Any:
        """Check labels, duplicates and leaks of the data."""

    def promote(self, dataset: Dataset, evaluation: Any, robustness: Any) -> Any:
        """Decide whether the model becomes champion; ``robustness`` may be None or :class:`Missing`."""

    def report(self, dataset: Dataset, evaluation: Any, promotion: Any, optional: dict[str, Any]) -> Any:
        """Write the report page; ``optional`` holds results by step, or :class:`Missing`."""
