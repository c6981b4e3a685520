"""Two runs side by side: what one of them differs in from the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Part = Literal["settings", "data", "model", "metric", "environment"]
_OF_THE_MOMENT = ("seconds", "epoch_seconds", "audit_seconds")
_OF_THE_TEAM = ("system/", "champion_gain", "extracted_rows_")  # load, champion and cache of the day


@dataclass(frozen=True)
class Account:
    """What a run was made from and what it came to.

    Attributes:
        settings: Options of the pipeline, flat.
        data: Digest of the samples.
        model: Digest of the delivered model.
        environment: See :func:`components.reproduction.environment.environment`; flat.
        metrics: By name; behind the name of a part the value of every step.
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


def is_compared(metric: str) -> bool:
    """Whether a metric says what was learned, and not how long it took or who was champion."""
    return metric not in _OF_THE_MOMENT and not metric.startswith(_OF_THE_TEAM)


def differences(then: Account, now: Account) -> list[Difference]:
    """Everything that is not exactly equal, causes first: settings, data, environment, model, metrics."""
    found = _unequal("settings", then.settings, now.settings)
    found += _unequal("data", {"digest": then.data}, {"digest": now.data})
    found += _unequal("environment", then.environment, now.environment)
    found += _unequal("model", {"digest": then.model}, {"digest": now.model})
    return found + _unequal("metric", then.metrics, now.metrics)


def _unequal(part: Part, then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    names = dict.fromkeys([*then, *now])
    return [
        Difference(part, name, then.get(name), now.get(name))
        for name in names
        if name not in then or name not in now or not _same(then[name], now[name])
    ]


def _same(one: Any, other: Any) -> bool:
    """Equality to the last bit, in which what is not a number equals itself."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)
