"""Two runs side by side: what one of them differs in from the other."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from components.results.table import Table, text

_SHOWN = 12  # differences of one kind
Part = Literal["settings", "data", "model", "metric", "environment"]
_OF_THE_MOMENT = ("seconds", "epoch_seconds", "audit_seconds")
_OF_THE_TEAM = ("system/", "champion_gain", "extracted_rows_")  # load, champion and cache of the day


@dataclass(frozen=True)
class Account:
    """Sources and results of a run.

    Attributes:
        settings: Options of the pipeline, flat.
        data: Digest of the samples.
        model: Digest of the delivered model.
        environment: See :func:`components.reproduction.environment.environment`; flat.
        metrics: Metrics by name; metrics of a part have a value per step.
    """

    settings: Mapping[str, Any]
    data: str
    model: str
    environment: Mapping[str, Any]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Difference:
    """One thing that two runs do not have in common.

    Attributes:
        part: What kind of thing.
        name: Option, metric or fact.
        then: Of the run that was repeated; None where it has none.
        now: Of its repetition.
    """

    part: Part
    name: str
    then: Any
    now: Any


@dataclass(frozen=True)
class Comparison:
    """A run and its repetition side by side.

    Attributes:
        compared: Number of metric values that were compared.
        differences: All of them, causes first.
    """

    compared: int
    differences: tuple[Difference, ...]

    @property
    def same_results(self) -> bool:
        """True where nothing differs but, perhaps, the environment."""
        return all(difference.part == "environment" for difference in self.differences)

    @property
    def counts(self) -> Counter[str]:
        """Number of differences of each kind."""
        return Counter(difference.part for difference in self.differences)

    @property
    def headline(self) -> str:
        """The result in one line."""
        same = f"{self.compared} values of metrics and the model are the same to the last bit"
        if not self.differences:
            return f"Nothing differs: settings, data, environment, and {same}"
        if self.same_results:
            return f"The results are the same, the environment is not: {same}"
        return "Differs: " + ", ".join(f"{part} ({count})" for part, count in self.counts.items())

    @property
    def findings(self) -> tuple[str, ...]:
        """A line for each kind of which the table shows only the first differences."""
        return tuple(
            f"{part}: {count - _SHOWN} more differ (--json has all of them)."
            for part, count in self.counts.items()
            if count > _SHOWN
        )

    def metrics(self) -> dict[str, float]:
        """Counts of what was compared and of what differs."""
        return {"metrics_compared": self.compared, "differences": len(self.differences)}

    def tables(self) -> dict[str, Table]:
        """The first differences of each kind."""
        kinds = Counter[str]()
        rows = []
        for difference in self.differences:
            kinds[difference.part] += 1
            if kinds[difference.part] <= _SHOWN:
                then, now = (
                    "—" if value is None else str(value) for value in (difference.then, difference.now)
                )
                rows.append((difference.part, difference.name, then, now))
        columns = tuple(map(text, ("differs", "what", "then", "now")))
        return {"differences": Table(self.headline, columns, tuple(rows))} if rows else {}


def is_compared(metric: str) -> bool:
    """Return True if a metric depends on the learned model, not on time, load or the champion."""
    return metric not in _OF_THE_MOMENT and not metric.startswith(_OF_THE_TEAM)


def differences(then: Account, now: Account) -> list[Difference]:
    """List all that is not exactly equal, causes first: settings, data, environment, model, metrics."""
    unequal = _unequal("settings", then.settings, now.settings)
    unequal += _unequal("data", {"digest": then.data}, {"digest": now.data})
    unequal += _unequal("environment", then.environment, now.environment)
    unequal += _unequal("model", {"digest": then.model}, {"digest": now.model})
    return unequal + _unequal("metric", then.metrics, now.metrics)


def _unequal(part: Part, then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    names = dict.fromkeys([*then, *now])
    return [
        Difference(part, name, then.get(name), now.get(name))
        for name in names
        if name not in then or name not in now or not _same(then[name], now[name])
    ]


def _same(one: Any, other: Any) -> bool:
    """Compare to the last bit; NaN equals NaN."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)
