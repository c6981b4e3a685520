"""Results on how far probabilities and conformal sets can be believed, as frozen dataclasses."""

from dataclasses import dataclass

from components.evaluation.intervals import Interval, Stored


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
class SubsetCoverage(Stored):
    """Coverage of the sets of the test rows that have just these inputs.

    `calibrated` counts the rows that the quantile comes from. `is_exact` is True if they too have just these
    inputs; else further inputs of theirs are hidden, and the promise assumes that inputs miss at random.
    """

    inputs: tuple[str, ...]
    rows: int
    coverage: Interval
    calibrated: int
    is_exact: bool


@dataclass(frozen=True)
class ConformalResult(Stored):
    """Coverage of the conformal sets of the test rows, against what they promise.

    `size` is the mean number of classes in a set, of labels left open, or the mean length of the interval;
    `abstained` the share of rows whose set does not decide.
    """

    promised: float
    coverage: Interval
    size: float
    abstained: float
    subsets: tuple[SubsetCoverage, ...] = ()  # those that test rows have
