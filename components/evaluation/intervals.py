"""A metric with its interval, a gain with its own, and how results travel as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import ConfigDict, TypeAdapter
from scipy import stats

Significance = Literal["yes", "no", "unclear"]


class Stored:
    """Turns a dataclass into JSON text and back; bytes become base64, NaN the string "NaN"."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings", extra="forbid"
    )

    def to_json(self) -> str:
        """Indented JSON; `from_json` of the same class reads the same values back, NaN included."""
        return TypeAdapter(type(self)).dump_json(self, indent=1).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote. Raises pydantic.ValidationError naming the field that does not fit."""
        return TypeAdapter(cls).validate_json(text)


@dataclass(frozen=True)
class Interval(Stored):
    """A metric on all rows, and the bootstrap interval around it."""

    value: float
    low: float
    high: float


UNDEFINED = Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class Gain(Stored):
    """Gain of one model over another on the same rows; positive is better for every metric."""

    value: float
    low: float
    high: float
    p_value: float

    @property
    def verdict(self) -> Significance:
        """'yes' when the whole interval is above 0, 'no' when no part of it is, else 'unclear'."""
        if self.low > 0:
            return "yes"
        return "no" if self.high <= 0 else "unclear"


def t_interval(values: Sequence[float], confidence: float) -> Interval:
    """Mean of values that vary like a Gaussian, with Student's interval; NaN bounds with fewer than two."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, float("nan"), float("nan"))
    reach = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values))
    return Interval(mean, mean - reach, mean + reach)


def bounds(name: str, estimate: Interval | Gain) -> dict[str, float]:
    """Value and bounds by the names of metrics: ``NAME``, ``NAME_low``, ``NAME_high``."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def shown(estimate: Interval) -> str:
    """For people: ``0.912 [0.884, 0.935]``."""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def signed(estimate: Interval | Gain) -> str:
    """Write a difference for people: ``+0.121 [+0.084, +0.156]``."""
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"
