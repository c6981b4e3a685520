"""What an evaluation found, as frozen dataclasses that travel as JSON: no arrays, no pickle."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from components.evaluation.intervals import UNDEFINED, Gain, Interval, Stored, Verdict

MediaKind = Literal["image", "audio", "text", "tabular"]
CandidateKind = Literal["single", "average", "fusion", "delivered"]

# What a browser shows or plays without running anything: no SVG, no HTML.
MIME_TYPES = frozenset(
    {"image/png", "image/jpeg", "image/webp", "image/gif"}
    | {"audio/wav", "audio/mpeg", "audio/ogg", "audio/flac", "audio/mp4"}
)


@dataclass(frozen=True)
class CandidateResult(Stored):
    """One model that could have been delivered, or the one that was."""

    name: str
    kind: CandidateKind
    inputs: tuple[str, ...]
    validation: dict[str, float]
    test: dict[str, Interval]

    def on_validation(self, metric: str) -> float:
        """A metric on validation; NaN where it is not defined on the rows."""
        return self.validation.get(metric, float("nan"))

    def on_test(self, metric: str) -> Interval:
        """A metric on test; NaN where it is not defined on the rows."""
        return self.test.get(metric, UNDEFINED)


@dataclass(frozen=True)
class SubsetResult(Stored):
    """The delivered model when it is given only some inputs.

    `drop` is the loss against all inputs: positive when the subset is worse, for every metric.
    `candidate` names the candidate that answers for this subset, where that differs from subset to subset.
    """

    inputs: tuple[str, ...]
    metric: Interval
    drop: float
    candidate: str | None = None


@dataclass(frozen=True)
class ClassResult(Stored):
    """One row of the per-class table; NaN where a value is not defined."""

    name: str
    support: int
    precision: float
    recall: float
    f1: float
    roc_auc: float
    average_precision: float


@dataclass(frozen=True)
class ReliabilityBin(Stored):
    """Rows whose top probability lies in (low, high]; confidence and accuracy are NaN when count is 0."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class CalibrationResult(Stored):
    """Test rows before and after division of the logits by `temperature`."""

    temperature: float
    error_before: float
    error_after: float
    log_loss_before: float
    log_loss_after: float
    before: tuple[ReliabilityBin, ...]
    after: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Media(Stored):
    """What one input of one sample looks like: `data` with `mime`, or `text`, or `values` by column.

    Raises:
        ValueError: `mime` is not a picture or sound that a browser shows without running anything.
    """

    kind: MediaKind
    text: str | None = None
    data: bytes | None = None
    mime: str | None = None
    values: dict[str, str] | None = None

    def __post_init__(self) -> None:
        if self.data is not None and self.mime not in MIME_TYPES:
            raise ValueError(
                f"media of type {self.mime!r} cannot be embedded; use one of {sorted(MIME_TYPES)}"
            )


@dataclass(frozen=True)
class Sample(Stored):
    """A test row. `row` is its position among the test rows that have the target.

    `probability` is that of the answer, or for a number its standard deviation; `loss` −ln of the likelihood
    of the truth; `shares` what each input added to the log-probability of the answer, or to the number
    (exact Shapley values; see Target.leaning). An input that is not in `media` is missing.
    """

    id: str
    row: int
    label: str
    predicted: str
    probability: float
    loss: float
    shares: dict[str, float]
    media: dict[str, Media] = field(default_factory=dict)


@dataclass(frozen=True)
class ConformalResult(Stored):
    """How often the conformal sets of the test rows hold the truth, against what they promise.

    `size` is the mean number of classes in a set, of labels left open, or the mean length of the interval;
    `abstained` the share of rows whose set does not decide.
    """

    promised: float
    coverage: Interval
    size: float
    abstained: float


@dataclass(frozen=True)
class BalanceResult(Stored):
    """What a fused model makes of one input, against that input's own fit; validation rows that have it.

    `ratio` is (inside - prior) / (solo - prior): 1 where the fused model gets as much from the input alone as
    its own fit does, 0 where it gets nothing; NaN where the fit itself is no better than the prior.
    """

    solo: float
    inside: float
    prior: float
    ratio: float


@dataclass(frozen=True)
class Evaluation(Stored):
    """Everything that evaluate() found out about one target on the test rows."""

    target: str
    task: str
    metric: str
    confidence: float
    resamples: int
    seed: int
    rows: dict[str, int]  # "val", "test"
    classes: tuple[str, ...]
    inputs: tuple[str, ...]
    candidates: tuple[CandidateResult, ...]  # single inputs, average, fusion; the delivered model last
    best_single: str  # by the validation metric
    fusion: str | None  # the fusion that was compared; None with one input
    chosen: str  # the candidate that is delivered
    fusion_gain: Gain | None  # fusion against the best single input
    fusion_mcnemar: float | None  # exact p-value for the same two
    delivered_gain: Gain  # delivered model against the best single input
    metrics: dict[str, Interval]  # of the delivered model, as in candidates[-1].test
    subsets: tuple[SubsetResult, ...]
    shapley: dict[
        str, float
    ]  # what each input brings: they sum to metric(all) − prior_value, positive is better
    interactions: dict[str, float]  # Shapley interaction of each pair, "a × b"; positive is synergy
    prior_value: float  # metric of the answer without any input
    per_class: tuple[ClassResult, ...]  # by class or label; none of a number
    confusion: tuple[tuple[int, ...], ...]  # [label][predicted]; classes alone
    scatter: tuple[tuple[float, float], ...]  # true and predicted; numbers alone
    balance: dict[str, BalanceResult]  # by input; empty without a fusion
    warn_below: float  # ratio below which an input is under-optimised
    calibration: CalibrationResult
    conformal: ConformalResult
    samples: tuple[Sample, ...]  # highest loss first
    version: int = 2

    @property
    def delivered(self) -> CandidateResult:
        """The delivered model's own line."""
        return self.candidates[-1]

    @property
    def headline(self) -> Interval:
        """The delivered model's chosen metric on test; NaN where it is not defined on the test rows."""
        return self.metrics.get(self.metric, UNDEFINED)

    @property
    def fusion_helps(self) -> Verdict:
        """Whether fusion beats the best single input on test; 'no' when there is nothing to fuse."""
        return self.fusion_gain.verdict if self.fusion_gain else "no"

    @property
    def under_optimised(self) -> tuple[str, ...]:
        """Inputs from which the fused model learned much less than there is."""
        return tuple(name for name, found in self.balance.items() if found.ratio < self.warn_below)

    @property
    def worst_subset(self) -> SubsetResult | None:
        """The proper subset that loses most; None with one input."""
        proper = [subset for subset in self.subsets if len(subset.inputs) < len(self.inputs)]
        return max(proper, key=lambda subset: subset.drop, default=None)

    def with_media(self, media: dict[str, dict[str, Media]]) -> Evaluation:
        """The same evaluation, the samples showing their media: sample id → input → Media."""
        samples = tuple(replace(sample, media=media.get(sample.id, {})) for sample in self.samples)
        return replace(self, samples=samples)


@dataclass(frozen=True)
class Judged(Stored):
    """The evaluations of all targets, the primary one first."""

    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True)
class Curve(Stored):
    """The training of one fit, a value an epoch; NaN where an epoch has none."""

    name: str
    train_loss: tuple[float, ...]
    validation: tuple[float, ...]
    best_epoch: int | None = None  # counted from 0
    metric: str | None = None  # of `validation`; None is the evaluation's metric
