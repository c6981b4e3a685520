"""Parts of the data that are independent of each other: intervals and tests draw them whole.

Rows of one group say less than as many rows of many groups, and so do rows that repeat a content. A part is
all rows that hang together in that way.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from components.data.samples import SamplesTable

Parts = NDArray[np.int64]
_LARGEST = 0.2  # share of the rows above which contents link too much to tell rows apart


def independent_parts(table: SamplesTable, samples: pd.DataFrame, inputs: Sequence[str]) -> Parts:
    """Number the parts of some rows: rows of a group, or with the same content of an input, are one part.

    Where contents link more than a fifth of the rows, only rows alike in every input are one part. Else a few
    recordings that are paired with every image would make all rows one.

    Args:
        table: The samples table, which knows the groups.
        samples: N of its rows with ``id`` and the digests of the inputs.
        inputs: Names of the inputs.

    Returns:
        (N,) int64, from 0.
    """
    group = pd.Series(groups_of(table, samples), dtype=object)
    contents = samples[[f"{name}.digest" for name in inputs]].reset_index(drop=True)
    parts = connected((group, *(contents[column] for column in contents)))
    if np.bincount(parts).max(initial=0) > _LARGEST * len(parts):
        whole = contents.astype(object).apply(tuple, axis=1).where(contents.notna().all(axis=1))
        parts = connected((group, whole))
    return np.unique(parts, return_inverse=True)[1].astype(np.int64)


def groups_of(table: SamplesTable, samples: pd.DataFrame) -> list[str | None]:
    """Look up the group (N,) of some rows of the samples table; None where a row has none."""
    groups = pd.Series(list(table.column("group")), pd.Index(list(table.column("id"))), dtype=object)
    cells = groups.reindex(samples["id"])
    return cells.where(cells.notna(), None).tolist()


def connected(columns: Iterable[pd.Series]) -> Parts:
    """Number rows so that those which share a value in any column have one number; empty cells share none.

    Args:
        columns: Columns of N cells.

    Returns:
        (N,) int64.
    """
    cells = list(columns)
    rows, units, size = [], [], len(cells[0])
    count = size
    for column in cells:
        codes, known = pd.factorize(column)
        rows.append(np.flatnonzero(codes >= 0))
        units.append(codes[codes >= 0] + count)
        count += len(known)
    row, unit = np.concatenate(rows), np.concatenate(units)
    links = coo_array((np.ones(len(row), np.int8), (row, unit)), shape=(count, count))
    component: Parts = connected_components(links, directed=False)[1][:size].astype(np.int64)
    return component
