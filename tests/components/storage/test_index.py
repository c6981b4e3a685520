"""The index of a store finds what a dictionary would find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.storage import index as module
from components.storage.digest import digest
from components.storage.index import Digests, ShardIndex

KEYS = [digest(str(number)) for number in range(12)]
ZEROS = ["00" * 16, "00" * 15 + "01", "01" + "00" * 15, "0100" + "00" * 14]  # bytes that C strings end at
some_keys = st.lists(st.sampled_from([*KEYS, *ZEROS]), max_size=8)


@given(st.lists(some_keys, max_size=5), some_keys, st.booleans())
def test_it_finds_what_a_dictionary_would_find(
    shards: list[list[str]], wanted: list[str], asked_between: bool
) -> None:
    index, known = ShardIndex(), dict[str, tuple[int, int]]()
    for number, keys in enumerate(shards):
        index.add(Path(f"{number}"), keys)
        known |= {key: (number, row) for row, key in enumerate(keys)}
        if asked_between:
            index.find(wanted)
    assert [tuple(location) for location in index.find(wanted).tolist()] == [
        known.get(key, (-1, -1)) for key in wanted
    ]
    missing = list(dict.fromkeys(key for key in wanted if key not in known))
    assert [wanted[position] for position in index.absent(wanted)] == missing


def test_keys_are_looked_up_a_block_at_a_time_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    index = ShardIndex()
    index.add(Path("a"), KEYS[:5])
    wanted = [*KEYS, *KEYS[::-1]]
    places, absent = index.find(wanted), index.absent(wanted)
    monkeypatch.setattr(module, "_BLOCK", 3)
    np.testing.assert_array_equal(index.find(wanted), places)
    np.testing.assert_array_equal(index.absent(wanted), absent)
    assert absent.tolist() == [5, 6, 7, 8, 9, 10, 11]


@given(st.lists(st.sampled_from([*KEYS, *ZEROS]), max_size=9), st.integers(0, 9), st.integers(0, 9))
def test_digests_are_the_list_of_them(keys: list[str], start: int, stop: int) -> None:
    digests = Digests.of([keys[:start], keys[start:]])
    assert list(digests) == keys
    assert [digests[position] for position in range(-len(keys), len(keys))] == keys + keys
    assert list(digests[start:stop]) == keys[start:stop]
    order = np.arange(len(keys))[::-1]
    assert list(digests[order]) == keys[::-1]
    index = ShardIndex()
    index.add(Path("a"), digests)
    assert (index.find(digests) == index.find(keys)).all()
    assert not len(index.absent(digests))


@pytest.mark.parametrize("key", ["", "abc", "zz" * 16, "00" * 17, "00 " * 16])
def test_a_key_that_is_no_digest_is_refused(key: str) -> None:
    index = ShardIndex()
    with pytest.raises(ValueError, match=r"digest of 32 hexadecimal digits|non-hexadecimal"):
        index.add(Path("a"), [KEYS[0], key])


def test_a_row_takes_24_bytes() -> None:
    index = ShardIndex()
    for shard in range(10):
        index.add(Path(str(shard)), [digest(f"{shard} {row}") for row in range(500)])
    index.find(KEYS)
    held = [value for value in vars(index).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in held) == 24 * 5000
