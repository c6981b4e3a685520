"""Outcomes of peers on one data set: metrics with intervals, gains of braid, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.peers.job import Report
from benchmarks.peers.rows import HIDDEN, Rows
from components.evaluation.bootstrap import Rivals, interval_of, mean_gain
from components.evaluation.intervals import Gain, Interval, shown, signed
from components.evaluation.replicates import mean_replicates, replicate
from components.targets import Regression

_RESAMPLES, _CONFIDENCE = 1000, 0.95


@dataclass(frozen=True)
class Outcome:
    """Run of a peer on one data set with one seed.

    Attributes:
        peer: Name of the peer.
        seed: Seed.
        failure: Reason why there is no result; empty where there is one.
        report: Costs that the program measured; None after a failure.
        cpu: Processor seconds of its processes, from imports to predictions.
        peak: Highest memory of its processes together, in MiB.
        test: (N, P) predictions of the test rows.
        hidden: (N, P) predictions of the test rows with hidden inputs; None where it could make none.
    """

    peer: str
    seed: int
    failure: str = ""
    report: Report | None = None
    cpu: float = 0.0
    peak: float = 0.0
    test: np.ndarray | None = None
    hidden: np.ndarray | None = None


@dataclass(frozen=True)
class Line:
    """Result of a peer on one data set, the mean over seeds.

    Attributes:
        data: Name of the data set, with the share of hidden inputs.
        peer: Name of the peer.
        version: The tool and its version.
        failure: Reason why there is no result.
        metric: Name of the metric.
        score: Metric on test rows.
        gain: Gain of braid over the peer on the same rows; None for braid, and without a run of it.
        hidden: Metric on test rows with hidden inputs; None where it could make no prediction.
        missing: Error on rows with hidden inputs.
        seconds, cpu, peak, size, milliseconds: Costs; see :class:`Report` and :class:`Outcome`.
        notes: Note of each seed.
    """

    data: str
    peer: str
    version: str = ""
    failure: str = ""
    metric: str = ""
    score: Interval | None = None
    gain: Gain | None = None
    hidden: float | None = None
    missing: str = ""
    seconds: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0
    size: float = 0.0
    milliseconds: float = 0.0
    notes: tuple[str, ...] = ()


def lines(data: str, rows: Rows, outcomes: Sequence[Outcome]) -> list[Line]:
    """Score the outcomes of all peers and seeds on a data set."""
    peers = list(dict.fromkeys(each.peer for each in outcomes))
    own = {each.seed: each for each in outcomes if each.peer == "braid" and not each.failure}
    return [_line(data, peer, rows, [each for each in outcomes if each.peer == peer], own) for peer in peers]


def _line(
    data: str, peer: str, rows: Rows, outcomes: Sequence[Outcome], braid: Mapping[int, Outcome]
) -> Line:
    if failures := [f"seed {each.seed}: {each.failure}" for each in outcomes if each.failure]:
        return Line(data, peer, failure="; ".join(failures))
    reports = [each.report for each in outcomes if each.report is not None]
    test = [predictions_of(rows, each.test) for each in outcomes if each.test is not None]
    hidden = [predictions_of(rows, each.hidden) for each in outcomes if each.hidden is not None]
    rivals = [
        Rivals(rows.target, rows.values, predictions_of(rows, braid[each.seed].test), own, rows.parts)
        for each, own in zip(outcomes, test, strict=True)
        if peer != "braid" and each.seed in braid
    ]
    return Line(
        data,
        peer,
        version=reports[0].version,
        metric=rows.target.metric,
        score=_score(rows, test),
        gain=mean_gain(rivals, rows.target.metric) if rivals else None,
        hidden=_score(rows, hidden).value if len(hidden) == len(test) else None,
        missing="; ".join(dict.fromkeys(each.missing for each in reports if each.missing)),
        seconds=float(np.mean([each.seconds for each in reports])),
        cpu=float(np.mean([each.cpu for each in outcomes])),
        peak=max(each.peak for each in outcomes),
        size=float(np.mean([each.size for each in reports])),
        milliseconds=float(np.mean([each.milliseconds for each in reports])),
        notes=tuple(each.note for each in reports),
    )


def predictions_of(rows: Rows, given: np.ndarray | None) -> np.ndarray:
    """Give predictions (N, P) the form of the target: a number gets its mean error as deviation."""
    assert given is not None
    if isinstance(rows.target, Regression):
        error = float(np.sqrt(np.mean((given[:, 0] - rows.values) ** 2)))
        return np.stack([given[:, 0], np.full(len(given), max(error, 1e-9))], axis=1)
    return given if rows.target.task == "multilabel" else given / given.sum(axis=1, keepdims=True)


def _score(rows: Rows, predictions: Sequence[np.ndarray]) -> Interval:
    """Average a metric over seeds, with an interval that draws whole parts of the rows."""
    name, target = rows.target.metric, rows.target
    made = []
    for each in predictions:
        truth, given = target.check(rows.values, each)
        made.append(
            replicate(target.scorer(truth, given, (name,)), len(truth), rows.parts, _RESAMPLES, 0)[name]
        )
    return interval_of(name, mean_replicates(made), _CONFIDENCE, len(rows.values))


def as_json(line: Line) -> dict[str, Any]:
    """Give a line as JSON values."""
    return asdict(line)


def as_markdown(every: Sequence[Line]) -> str:
    """Write the table, and below it what each peer chose."""
    rows = [
        "| set | peer | metric on test | gain of braid | s (processor) | peak MiB | model MB | ms per row | "
        "inputs hidden |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for line in every:
        if line.failure or line.score is None:
            rows.append(f"| {line.data} | {line.peer} | – ({_cell(line.failure)}) | | | | | | |")
            continue
        gain = "" if line.gain is None else signed(line.gain)
        hidden = f"{line.hidden:.3f}" if line.hidden is not None else f"fails: {_cell(line.missing)}"
        rows.append(
            f"| {line.data} | {line.peer} | {line.metric} {shown(line.score)} | {gain} | "
            f"{line.seconds:.0f} ({line.cpu:.0f}) | {line.peak:.0f} | {line.size / 1e6:.1f} | "
            f"{line.milliseconds:.1f} | {hidden} |"
        )
    rows += [
        "",
        f"Inputs hidden: the metric on the same test rows, each input hidden with probability {HIDDEN:g}.",
        "",
    ]
    for line in every:
        rows += [f"- {line.data}, {line.peer} ({line.version}): {note}" for note in line.notes if note]
    return "\n".join(rows)


def _cell(text: str, longest: int = 200) -> str:
    return " ".join(text.replace("|", "/").split())[:longest]
