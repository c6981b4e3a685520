"""Rows that a model has learned from or was chosen by, as digests: what it must not be judged on.

``learned.parquet`` in the bundle has a line for the model itself and one for each model that taught it.
Up to a million rows have 8 bytes per row and kind of digest. Above that a Bloom filter has 2, and takes one
row in two thousand for a known one (Bloom 1970, "Space/time trade-offs in hash coding").
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.config.pipeline import PipelineConfig
from components.data.contents import content_keys
from components.data.samples import open_samples_table
from components.data.spelling import identity
from components.data.splits import UNLABELLED
from components.references import Dataset
from components.storage.atomic import replacing
from components.storage.digest import short_digest

LEARNED = "learned.parquet"
MOST = 1_000_000  # digests that are kept as they are
_BITS, _HASHES = 16, 11  # per digest; the number of hashes that is best for 16 bits
_DISTINCT = 0.9  # share of different contents from which a content without a file names a row
_FILES = ("image", "audio")
Digests = NDArray[np.uint64]


@dataclass(frozen=True)
class DigestSet:
    """A set of digests.

    Attributes:
        words: The sorted digests, or the 64-bit words of a Bloom filter.
        is_filter: True for a filter.
    """

    words: Digests
    is_filter: bool = False

    @classmethod
    def of(cls, digests: Iterable[int]) -> DigestSet:
        """Collect digests of 8 bytes."""
        distinct = np.unique(np.fromiter(digests, np.uint64))
        if len(distinct) <= MOST:
            return cls(distinct)
        words = np.zeros(len(distinct) * _BITS // 64 + 1, np.uint64)
        for bit in _bits(distinct, len(words)):
            np.bitwise_or.at(words, bit // 64, np.uint64(1) << (bit % np.uint64(64)))
        return cls(words, is_filter=True)

    def holds(self, digests: Digests) -> NDArray[np.bool_]:
        """Mark the digests (N,) that are in the set; a filter marks few others too."""
        if not self.is_filter:
            return np.isin(digests, self.words)
        held = np.ones(len(digests), bool)
        for bit in _bits(digests, len(self.words)):
            held &= (self.words[bit // 64] >> (bit % np.uint64(64)) & np.uint64(1)).astype(bool)
        return held


def _bits(digests: Digests, words: int) -> Iterable[Digests]:
    """Give the bits of a filter that belong to each digest, (N,) at a time.

    Two halves of a digest make all hashes (Kirsch and Mitzenmacher 2006).
    """
    first, second = digests & np.uint64(0xFFFFFFFF), digests >> np.uint64(32) | np.uint64(1)
    for number in range(_HASHES):
        yield (first + np.uint64(number) * second) % np.uint64(words * 64)


@dataclass(frozen=True)
class RowNames:
    """Names by which N rows are known.

    Attributes:
        count: N.
        ids: (N,) digests of their ids; None where they have none.
        contents: (N,) digests of their contents, as the model reads them; None where it cannot read all.
        groups: (N,) cells of each column of groups.
    """

    count: int
    ids: Digests | None
    contents: Digests | None
    groups: Mapping[str, Sequence[str | None]]


@dataclass(frozen=True)
class LearnedRows:
    """Training and validation rows of one model.

    Attributes:
        ids: Digests of their ids; None where the rows had none.
        contents: Digests of their contents.
        group: Column of groups that were kept whole; None without one.
        groups: Digests of the groups.
    """

    ids: DigestSet | None
    contents: DigestSet
    group: str | None
    groups: DigestSet

    def knows(self, rows: RowNames) -> NDArray[np.bool_] | None:
        """Mark the rows (N,) that are known by their id, their content or their group.

        None where neither ids nor contents can be compared.
        """
        if (self.ids is None or rows.ids is None) and (rows.contents is None or not len(self.contents.words)):
            return None
        known = np.zeros(rows.count, bool)
        if rows.contents is not None:
            known |= self.contents.holds(rows.contents)
        if self.ids is not None and rows.ids is not None:
            known |= self.ids.holds(rows.ids)
        cells = rows.groups.get(self.group or "", ())
        grouped = [row for row, cell in enumerate(cells) if cell is not None]
        keys = np.fromiter((name_key(cells[row]) for row in grouped), np.uint64, len(grouped))
        known[np.array(grouped, np.intp)[self.groups.holds(keys)]] = True
        return known


def learned_rows(dataset: Dataset, config: PipelineConfig, unlabelled: bool = False) -> LearnedRows:
    """Collect the training and validation rows of a run.

    Contents without image or audio are left out where rows have ids and more than one in ten contents is
    repeated: in a small table two customers may well look alike.

    Args:
        dataset: Reference to the samples.
        config: The pipeline.
        unlabelled: Whether the model has learned from rows without a target too.
    """
    names = _learnable(dataset, config, unlabelled)
    return LearnedRows(
        DigestSet.of(names.ids) if dataset.named else None,
        DigestSet.of(names.contents),
        config.data.split.group,
        DigestSet.of(names.groups),
    )


def count_new(dataset: Dataset, config: PipelineConfig, model: LearnedRows) -> int:
    """Count the training and validation rows of a run that a model has not learned from.

    They are compared by their ids, or by their contents where one side has no ids.

    Args:
        dataset: Reference to the samples.
        config: The pipeline.
        model: Rows of the model.
    """
    names = _learnable(dataset, config)
    by_id = dataset.named and model.ids is not None
    known, digests = (model.ids, names.ids) if by_id else (model.contents, names.contents)
    assert known is not None
    return int((~known.holds(np.unique(np.frombuffer(digests, np.uint64)))).sum())


@dataclass(frozen=True)
class _Learnable:
    """Digests of the rows that a run learns from: of ids, contents and groups."""

    ids: array[int]
    contents: array[int]
    groups: set[int]


def _learnable(dataset: Dataset, config: PipelineConfig, unlabelled: bool = False) -> _Learnable:
    splits = ["train", "val", *[UNLABELLED] * unlabelled]
    table = open_samples_table(dataset)
    columns = {name: f"{name}.digest" for name in config.inputs}
    files = [columns[name] for name, section in config.inputs.items() if section.modality in _FILES]
    ids, contents, plain = array("Q"), array("Q"), array("Q")
    groups: set[int] = set()
    for part in range(len(table.ends)):
        rows = table.group(part, ["id", "split", "group", *columns.values()]).to_pandas()
        rows = rows[rows["split"].isin(splits)]
        ids.extend(map(name_key, rows["id"]) if dataset.named else ())
        groups.update(map(name_key, rows["group"].dropna().unique()))
        has_file = rows[files].notna().any(axis=1)
        for held, chosen in ((contents, has_file), (plain, ~has_file)):
            held.extend(content_keys(rows.loc[chosen, list(columns.values())].itertuples(index=False)))
    distinct = np.unique(np.frombuffer(plain, np.uint64)) if plain else np.empty(0, np.uint64)
    if not dataset.named or len(distinct) >= _DISTINCT * len(plain):
        contents.extend(distinct.tolist())
    return _Learnable(ids, contents, groups)


def name_key(name: object) -> int:
    """Digest an id or a group, alike in every table."""
    return short_digest(identity(name))


def write_learned(models: Iterable[LearnedRows], path: Path) -> None:
    """Write what a model and its teachers have learned from."""
    lines = [
        {
            "ids": each.ids and each.ids.words,
            "contents": each.contents.words,
            "group": each.group,
            "groups": each.groups.words,
            **{f"{name}_filter": bool(held and held.is_filter) for name, held in _sets(each).items()},
        }
        for each in models
    ]
    words = pa.list_(pa.uint64())
    schema = pa.schema(
        [("ids", words), ("contents", words), ("group", pa.string()), ("groups", words)]
        + [(f"{name}_filter", pa.bool_()) for name in ("ids", "contents", "groups")]
    )
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(lines, schema), temporary)


def read_learned(bundle: Path) -> tuple[LearnedRows, ...]:
    """Read what a model and its teachers have learned from; empty for a model of an earlier braid."""
    path = bundle / LEARNED
    if not path.exists():
        return ()
    table = pq.read_table(path)

    def digests(name: str, line: int) -> DigestSet | None:
        words = table.column(name)[line]
        is_filter = table.column(f"{name}_filter")[line].as_py()
        return DigestSet(words.values.to_numpy(), is_filter) if words.is_valid else None

    return tuple(
        LearnedRows(
            digests("ids", line),
            digests("contents", line) or DigestSet.of(()),
            table.column("group")[line].as_py(),
            digests("groups", line) or DigestSet.of(()),
        )
        for line in range(len(table))
    )


def _sets(rows: LearnedRows) -> dict[str, DigestSet | None]:
    return {"ids": rows.ids, "contents": rows.contents, "groups": rows.groups}
