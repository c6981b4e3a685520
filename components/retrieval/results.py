"""Results of search from one input to another on test rows, as frozen dataclasses that travel as JSON."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluation.bootstrap import interval_of, mean_share
from components.evaluation.intervals import Interval, Stored, bounds
from components.evaluation.replicates import Parts, Replicates
from components.metrics.retrieval import (
    DEPTHS,
    Rankings,
    chance_levels,
    score_rankings,
)
from components.results.table import Table, estimate, number, text

_CELLS = 8_000_000  # similarities held at once


@dataclass(frozen=True)
class Retrieval(Stored):
    """Search by one input for another; equal similarities as in score_rankings().

    `metrics` has recall_1, recall_5 and recall_10: the share of queries with a right sample among the first
    k. It has median_rank, of the first right sample from 1, and mean_average_precision. Each has its interval
    over queries. `chance` is the metric of a random order.
    """

    query: str
    gallery: str
    right: str  # "row": the input of the same row; "class": that of any row of the same class
    queries: int
    rows: int  # size of the gallery
    metrics: dict[str, Interval]
    chance: dict[str, float]

    @property
    def name(self) -> str:
        """``image_to_audio``, ``image_to_audio_class``."""
        return f"{self.query}_to_{self.gallery}" + ("_class" if self.right == "class" else "")

    @property
    def headline(self) -> str:
        """Recall at 1 beside that of a random order."""
        name = "class recall@1" if self.right == "class" else "recall@1"
        recall, chance = self.metrics["recall_1"].value, self.chance["recall_1"]
        return f"{self.query} → {self.gallery} {name} {recall:.3f} (chance {chance:.3f})"


@dataclass(frozen=True)
class Retrievals(Stored):
    """Search over every ordered pair of inputs."""

    objective: str
    use: str
    width: int
    split: str
    confidence: float
    resamples: int
    seed: int
    each: tuple[Retrieval, ...]
    version: int = 1

    @property
    def headline(self) -> str:
        """Recall at 1 of every direction in one line: by class where there are classes."""
        by_class = [each for each in self.each if each.right == "class"]
        return ", ".join(each.headline for each in by_class or self.each) or "no row has two inputs"

    @property
    def findings(self) -> tuple[str, ...]:
        """A sentence with the headline, where anything could be searched for."""
        return (f"Search: {self.headline}.",) if self.each else ()

    def metrics(self) -> dict[str, float]:
        """Flat metrics: ``retrieval_image_to_audio_recall_1``, ``retrieval_image_to_audio_class_recall_5``"""
        values: dict[str, float] = {}
        for each in self.each:
            for name, interval in each.metrics.items():
                key = f"retrieval_{each.name}_{name}"
                values |= {**bounds(key, interval), f"{key}_chance": each.chance[name]}
        return values

    def tables(self) -> dict[str, Table]:
        """One row per direction and kind of right sample; beside each metric its interval and chance."""
        if not self.each:
            return {}
        names = list(self.each[0].metrics)
        columns = [text("from"), text("to"), text("right"), number("queries", ""), number("gallery", "")]
        for name in names:
            columns.append(estimate(name, bounds=(f"{name} low", f"{name} high")))
            columns.append(number(f"{name} chance"))
        rows = [
            (
                each.query,
                each.gallery,
                f"same {each.right}",
                each.queries,
                each.rows,
                *(cell for name in names for cell in (each.metrics[name], each.chance[name])),
            )
            for each in self.each
        ]
        return {"retrieval": Table(f"Search on {self.split}: {self.headline}", tuple(columns), tuple(rows))}


def retrieval(
    query: str,
    gallery: str,
    right: str,
    queries: np.ndarray,
    samples: np.ndarray,
    query_labels: NDArray[np.int64],
    sample_labels: NDArray[np.int64],
    *,
    parts: Parts | None = None,
    resamples: int,
    confidence: float,
    seed: int,
) -> Retrieval | None:
    """Search with every query, and estimate the metrics with their intervals.

    Memory is bounded by a block of queries.

    Args:
        query, gallery: Names of the two inputs.
        right: Kind of the labels: ``row`` or ``class``.
        queries: (Q, W) unit vectors.
        samples: (G, W) unit vectors of the gallery.
        query_labels, sample_labels: (Q,), (G,): a sample with the query's label is right.
        parts: (Q,) number of the independent part of each query; None if every query is its own.
        resamples, confidence, seed: Settings of the intervals over queries.

    Returns:
        None if no query has a right sample in the gallery.
    """
    labels, counts = np.unique(sample_labels, return_counts=True)
    known = np.isin(query_labels, labels)
    queries, query_labels = queries[known], query_labels[known]
    parts = np.arange(len(known)) if parts is None else parts
    if not len(queries):
        return None
    rankings = _joined(list(_blocks(queries, samples, query_labels, sample_labels)))
    return Retrieval(
        query=query,
        gallery=gallery,
        right=right,
        queries=len(queries),
        rows=len(samples),
        metrics=_intervals(rankings, parts[known], resamples, confidence, seed),
        chance=chance_levels(len(samples), counts[np.searchsorted(labels, query_labels)]),
    )


def _blocks(
    queries: np.ndarray, samples: np.ndarray, query_labels: np.ndarray, sample_labels: np.ndarray
) -> Iterator[Rankings]:
    step = max(1, _CELLS // len(samples))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        yield score_rankings(queries[part] @ samples.T, query_labels[part, None] == sample_labels)


def _joined(parts: list[Rankings]) -> Rankings:
    return Rankings(
        {k: np.concatenate([part.recall[k] for part in parts]) for k in DEPTHS},
        np.concatenate([part.rank for part in parts]),
        np.concatenate([part.average_precision for part in parts]),
    )


def _intervals(
    rankings: Rankings, parts: Parts, resamples: int, confidence: float, seed: int
) -> dict[str, Interval]:
    means = {f"recall_{k}": rankings.recall[k] for k in DEPTHS}
    means["mean_average_precision"] = rankings.average_precision
    intervals = {name: mean_share(values, parts, confidence) for name, values in means.items()}
    # A median is not smooth enough for leaving parts out, so whole parts are drawn.
    order = np.argsort(parts, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(parts[order])) + 1)
    rng, count, ranks = np.random.default_rng(seed), len(members), rankings.rank
    drawn = np.array(
        [
            np.median(ranks[np.concatenate([members[part] for part in rng.integers(0, count, count)])])
            for _ in range(resamples)
        ]
    )
    median = Replicates(float(np.median(ranks)), drawn, count, jackknife=False)
    return intervals | {"median_rank": interval_of("median_rank", median, confidence, len(ranks))}
