"""The shard store: what is written comes back, what is damaged counts as missing."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.storage import shards
from components.storage.atomic import checksum_file
from components.storage.digest import digest as key
from components.storage.shards import Codec, ShardStore

both = pytest.mark.parametrize("codec", ["parquet", "arrow"])
SHAPES: list[tuple[int, ...]] = [(3,), (1,), (0,), (2, 3), (5, 3), (1, 4, 2), (), (0, 7)]
DTYPES = [np.uint8, np.int32, np.int64, np.float32, np.float64]


def arrays(shapes: list[tuple[int, ...]], dtype: type, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(rng.random(shape) * 200).astype(dtype) for shape in shapes]


def filled(folder: Path, codec: Codec) -> tuple[ShardStore, dict[str, np.ndarray]]:
    """A store with two shards of three vectors each."""
    store = ShardStore(folder, codec)
    values = arrays([(4,)] * 6, np.float32)
    keys = [key(f"k{row}") for row in range(6)]
    store.append(keys[:3], values[:3])
    store.append(keys[3:], values[3:])
    return store, dict(zip(keys, values, strict=True))


@both
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_any_shape_come_back_as_they_were(tmp_path: Path, codec: Codec, dtype: type) -> None:
    values = arrays(SHAPES, dtype)
    keys = [key(f"k{row}") for row in range(len(values))]
    ShardStore(tmp_path, codec).append(keys, values)
    arrays_read = dict(ShardStore(tmp_path, codec).read(keys))
    for row, value in enumerate(values):
        assert arrays_read[row].dtype == dtype
        assert arrays_read[row].shape == value.shape
        np.testing.assert_array_equal(arrays_read[row], value)


@both
def test_an_empty_store_lacks_everything_each_once_in_order(tmp_path: Path, codec: Codec) -> None:
    store = ShardStore(tmp_path / "not-there", codec)
    assert store.missing([key("b"), key("a"), key("b"), key("c"), key("a")]) == [key("b"), key("a"), key("c")]
    assert store.missing([]) == []
    assert not (tmp_path / "not-there").exists(), "asking makes no folder"


@both
def test_what_was_appended_is_not_missing_here_or_in_a_new_store(tmp_path: Path, codec: Codec) -> None:
    store, _ = filled(tmp_path, codec)
    for each in (store, ShardStore(tmp_path, codec)):
        assert each.missing([key("k1"), key("x"), key("k5")]) == [key("x")]


@both
def test_a_store_that_was_asked_before_knows_what_it_appends_later(tmp_path: Path, codec: Codec) -> None:
    store = ShardStore(tmp_path, codec)
    assert store.missing([key("a")]) == [key("a")]
    store.append([key("a")], [np.ones(2)])
    assert store.missing([key("a")]) == []
    np.testing.assert_array_equal(store.stack([key("a")]), np.ones((1, 2)))


@both
def test_reading_gives_every_position_once_also_for_repeated_keys(tmp_path: Path, codec: Codec) -> None:
    store, values = filled(tmp_path, codec)
    keys = [key("k4"), key("k0"), key("k4"), key("k2"), key("k0")]
    pairs = list(store.read(keys))
    assert sorted(position for position, _ in pairs) == [0, 1, 2, 3, 4]
    for position, array in pairs:
        np.testing.assert_array_equal(array, values[keys[position]])
    np.testing.assert_array_equal(store.stack(keys), np.stack([values[key] for key in keys]))


@both
def test_an_unknown_key_is_an_error(tmp_path: Path, codec: Codec) -> None:
    store, _ = filled(tmp_path, codec)
    with pytest.raises(KeyError, match=key("nope")):
        list(store.read([key("k0"), key("nope")]))
    with pytest.raises(KeyError, match=key("nope")):
        store.rows([key("nope")])


@both
def test_stacking_pads_shorter_sequences_with_zeros(tmp_path: Path, codec: Codec) -> None:
    store = ShardStore(tmp_path, codec)
    store.append([key("a"), key("b")], [np.full((3, 2), 7, np.float32), np.full((1, 2), 8, np.float32)])
    stacked = store.stack([key("b"), key("a")])
    assert stacked.dtype == np.float32
    np.testing.assert_array_equal(stacked[0], [[8, 8], [0, 0], [0, 0]])
    np.testing.assert_array_equal(stacked[1], [[7, 7], [7, 7], [7, 7]])


def test_rows_give_random_access_over_shards(tmp_path: Path) -> None:
    store, values = filled(tmp_path, "arrow")
    keys = [key("k5"), key("k1"), key("k5")]
    rows = store.rows(keys)
    assert len(rows) == 3
    for position in (2, 0, 1, 0):
        np.testing.assert_array_equal(rows[position], values[keys[position]])


def test_rows_are_mapped_not_loaded(tmp_path: Path) -> None:
    values = [np.full(100_000, value, np.uint8) for value in range(50)]  # 5 MB
    ShardStore(tmp_path, "arrow").append([key(f"k{value}") for value in range(50)], values)
    store = ShardStore(tmp_path, "arrow")
    before = pa.total_allocated_bytes()
    rows = store.rows([key("k3"), key("k40")])
    assert rows[1][99_999] == 40
    assert pa.total_allocated_bytes() - before < 1_000_000  # keys and shapes only


@both
@pytest.mark.parametrize("damage", ["flipped bit", "truncated", "empty"])
def test_a_damaged_shard_is_set_aside_told_and_its_rows_are_missing(
    tmp_path: Path, codec: Codec, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, values = filled(tmp_path, codec)
    whole, hurt = sorted(tmp_path.iterdir())
    content = bytearray(hurt.read_bytes())
    content[len(content) // 2] ^= 1
    hurt.write_bytes({"flipped bit": bytes(content), "truncated": content[:-9], "empty": b""}[damage])

    store = ShardStore(tmp_path, codec)
    with caplog.at_level(logging.WARNING):
        missing = store.missing(values)
    assert missing in ([key("k0"), key("k1"), key("k2")], [key("k3"), key("k4"), key("k5")])
    assert hurt.name in caplog.text
    assert hurt.with_suffix(".damaged").exists()
    assert not hurt.exists()
    assert whole.exists()

    store.append(missing, [values[key] for key in missing])
    again = ShardStore(tmp_path, codec)
    assert again.missing(values) == []
    np.testing.assert_array_equal(again.stack(list(values)), np.stack(list(values.values())))


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the shards in the order in which their checksums are looked at."""
    names: list[str] = []
    original = shards.checksum_file
    monkeypatch.setattr(shards, "checksum_file", lambda path: (names.append(path.name), original(path))[1])
    return names


class TestShortcut:
    """Shards of known size and time of change are not read again."""

    @both
    def test_each_shard_is_checked_once(self, tmp_path: Path, codec: Codec, checked: list[str]) -> None:
        _, values = filled(tmp_path, codec)
        for _ in range(3):
            assert ShardStore(tmp_path, codec).missing([*values, key("x")]) == [key("x")]
        assert len(checked) == len(set(checked)) == 2
        ShardStore(tmp_path, codec).append([key("x")], [np.ones(4, np.float32)])
        again = ShardStore(tmp_path, codec)
        assert again.missing([*values, key("x")]) == []
        assert len(checked) == len(set(checked)) == 3, "the new one alone"
        np.testing.assert_array_equal(again.stack(list(values)), np.stack(list(values.values())))

    @both
    def test_a_shard_that_was_touched_is_checked_and_found_equal(
        self, tmp_path: Path, codec: Codec, checked: list[str]
    ) -> None:
        _, values = filled(tmp_path, codec)
        ShardStore(tmp_path, codec).missing(values)
        touched = next(path for path in sorted(tmp_path.iterdir()) if path.suffix == f".{codec}")
        os.utime(touched, ns=(1, 1))
        checked.clear()
        assert ShardStore(tmp_path, codec).missing(values) == []
        assert checked == [touched.name]

    @both
    def test_a_shard_that_is_damaged_later_is_noticed(self, tmp_path: Path, codec: Codec) -> None:
        _, values = filled(tmp_path, codec)
        ShardStore(tmp_path, codec).missing(values)
        hurt = next(path for path in sorted(tmp_path.iterdir()) if path.suffix == f".{codec}")
        hurt.write_bytes(hurt.read_bytes()[:-1] + b"?")
        missing = ShardStore(tmp_path, codec).missing(values)
        assert len(missing) == 3
        assert not hurt.exists()
        ShardStore(tmp_path, codec).append(missing, [values[each] for each in missing])
        again = ShardStore(tmp_path, codec)
        assert again.missing(values) == []
        np.testing.assert_array_equal(again.stack(list(values)), np.stack(list(values.values())))

    @both
    def test_a_shard_that_went_away_is_missed(self, tmp_path: Path, codec: Codec) -> None:
        _, values = filled(tmp_path, codec)
        ShardStore(tmp_path, codec).missing(values)
        next(path for path in sorted(tmp_path.iterdir()) if path.suffix == f".{codec}").unlink()
        store = ShardStore(tmp_path, codec)
        missing = store.missing(values)
        assert len(missing) == 3
        present = [each for each in values if each not in missing]
        np.testing.assert_array_equal(store.stack(present), np.stack([values[each] for each in present]))

    @both
    @pytest.mark.parametrize("content", [b"", b"ARROW1 not really"])
    def test_a_damaged_index_is_made_again(
        self, tmp_path: Path, codec: Codec, content: bytes, checked: list[str]
    ) -> None:
        _, values = filled(tmp_path, codec)
        ShardStore(tmp_path, codec).missing(values)
        (tmp_path / "index.ipc").write_bytes(content)
        checked.clear()
        for _ in range(2):
            assert ShardStore(tmp_path, codec).missing(values) == []
        assert len(checked) == 2

    @both
    def test_the_order_of_a_store_is_the_same_in_every_process(self, tmp_path: Path, codec: Codec) -> None:
        keys = [key(f"k{number}") for number in range(12)]
        orders = []
        for number in range(6):
            store = ShardStore(tmp_path, codec)
            store.append(keys[2 * number : 2 * number + 2], [np.full(1, number)] * 2)
            if number == 5:
                orders = [store.in_order(keys), ShardStore(tmp_path, codec).in_order(keys)]
            ShardStore(tmp_path, codec).missing(keys)  # the index takes them up one after the other
        (tmp_path / "index.ipc").unlink()
        orders.append(ShardStore(tmp_path, codec).in_order(keys))
        assert orders[0].tolist() == orders[1].tolist() == orders[2].tolist()
        assert sorted(orders[0].tolist()) == list(range(12))


@both
def test_a_temporary_that_a_killed_writer_left_is_ignored(tmp_path: Path, codec: Codec) -> None:
    _, values = filled(tmp_path, codec)
    half = next(iter(tmp_path.iterdir())).read_bytes()[:50]
    left = tmp_path / f".0123456789abcdef.tmp.{codec}"
    left.write_bytes(half)
    assert ShardStore(tmp_path, codec).missing(values) == []
    assert left.exists(), "it may belong to a writer that is at work"


@both
def test_two_stores_on_one_folder_do_not_disturb_each_other(tmp_path: Path, codec: Codec) -> None:
    one, two = ShardStore(tmp_path, codec), ShardStore(tmp_path, codec)
    assert one.missing([key("a"), key("b")]) == two.missing([key("a"), key("b")]) == [key("a"), key("b")]
    one.append([key("a"), key("b")], [np.zeros(2), np.ones(2)])
    two.append([key("b"), key("c")], [np.ones(2), np.full(2, 2.0)])  # the same content has the same key
    rows = ShardStore(tmp_path, codec).stack([key("a"), key("b"), key("c")])
    np.testing.assert_array_equal(rows, [[0, 0], [1, 1], [2, 2]])


@both
def test_a_long_shard_is_written_as_its_rows_come(tmp_path: Path, codec: Codec) -> None:
    values = arrays([(row % 5 + 1, 2) for row in range(100)], np.float32)
    keys = [key(f"k{row}") for row in range(100)]
    ShardStore(tmp_path, codec).append(keys, iter(values))
    (shard,) = tmp_path.iterdir()
    assert shard.stem == checksum_file(shard)
    for row, array in ShardStore(tmp_path, codec).read(keys[::-1]):
        np.testing.assert_array_equal(array, values[99 - row])


def test_of_canonical_samples_only_a_few_are_held(tmp_path: Path) -> None:
    held: list[weakref.ref[np.ndarray]] = []

    def rows() -> Iterator[np.ndarray]:
        for row in range(200):
            array = np.full(1000, row, np.float32)
            held.append(weakref.ref(array))
            yield array
            del array
            assert sum(each() is not None for each in held) <= 100

    ShardStore(tmp_path, "arrow").append([key(f"k{row}") for row in range(200)], rows())
    assert len(held) == 200


@both
def test_a_row_that_fails_leaves_no_shard_and_no_temporary(tmp_path: Path, codec: Codec) -> None:
    def rows() -> Iterator[np.ndarray]:
        yield from arrays([(3,)] * 70, np.float32)
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        ShardStore(tmp_path, codec).append([key(f"k{row}") for row in range(90)], rows())
    assert list(tmp_path.iterdir()) == []


@both
def test_equal_shards_are_one_file(tmp_path: Path, codec: Codec) -> None:
    for _ in range(2):
        ShardStore(tmp_path, codec).append([key("a")], [np.arange(3)])
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ([key("a"), key("b")], [np.zeros(1)]),
        ([key("a"), key("b")], [np.zeros(1, np.float32), np.zeros(1, np.float64)]),
        ([], []),
    ],
)
def test_a_shard_needs_one_type_and_a_key_a_row(
    tmp_path: Path, keys: list[str], values: list[np.ndarray]
) -> None:
    with pytest.raises(ValueError, match="a shard needs one dtype and a key a row"):
        ShardStore(tmp_path, "parquet").append(keys, values)
    assert list(tmp_path.iterdir()) == []


def test_features_are_plain_parquet_for_other_tools(tmp_path: Path) -> None:
    ShardStore(tmp_path, "parquet").append([key("a")], [np.arange(6, dtype=np.float32).reshape(2, 3)])
    (file,) = tmp_path.iterdir()
    table = pq.read_table(file).to_pydict()
    assert table == {"key": [key("a")], "shape": [[2, 3]], "value": [[0, 1, 2, 3, 4, 5]]}
