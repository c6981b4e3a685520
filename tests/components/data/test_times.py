"""Times of rows, their division by time, and the data as of a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.config.data import DataConfig, SplitConfig
from components.config.durations import seconds
from components.data.cells import UnusableCellError
from components.data.periods import divide
from components.data.splits import SPLITS
from components.data.times import seconds_of
from components.errors import DataError

Make = Callable[..., Any]
DAY = 86_400.0
START = datetime(2025, 1, 1, tzinfo=UTC)
UTC_ZONE, VIENNA = ZoneInfo("UTC"), ZoneInfo("Europe/Vienna")


def moment(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("word", "zone", "expected"),
    [
        ("2026-03-01", UTC_ZONE, moment(2026, 3, 1)),
        ("2026-03-01", VIENNA, moment(2026, 2, 28, 23)),
        ("2026-03-01T12:30:00+02:00", VIENNA, moment(2026, 3, 1, 10, 30)),
        ("2026-03-01T12:30:00Z", VIENNA, moment(2026, 3, 1, 12, 30)),
        ("1.3.2026 12:30", VIENNA, moment(2026, 3, 1, 11, 30)),
        ("2026-07-01 12:00", VIENNA, moment(2026, 7, 1, 10)),  # summer time
        ("2026-10-25 02:30", VIENNA, moment(2026, 10, 25, 0, 30)),  # comes twice, the first is meant
        ("2026-03-29 02:30", VIENNA, moment(2026, 3, 29, 1, 30)),  # skipped
        ("1772366400", VIENNA, moment(2026, 3, 1, 12)),
        ("1772366400.25", VIENNA, moment(2026, 3, 1, 12) + 0.25),
    ],
)
def test_dates_moments_and_seconds_become_seconds(word: str, zone: ZoneInfo, expected: float) -> None:
    assert seconds_of(word, "day-first", zone) == expected


@pytest.mark.parametrize(
    "word", ["20260301", "2026", "1772366400000", "-5", "2026-02-30", "yesterday", "inf", "32.13.2026"]
)
def test_what_is_no_time_is_refused(word: str) -> None:
    with pytest.raises(UnusableCellError):
        seconds_of(word, "day-first", UTC_ZONE)


def test_a_day_border_keeps_its_rows_together() -> None:
    days = np.repeat(np.arange(100.0), 3) * DAY + START.timestamp()
    config = SplitConfig(by="time", val="14d", test="28d", gap="7d")
    splits = np.array(divide(days, [None] * 300, config)).reshape(100, 3)
    assert [set(row) for row in splits.tolist()] == (
        [{"train"}] * 44 + [{"gap"}] * 7 + [{"val"}] * 14 + [{"gap"}] * 7 + [{"test"}] * 28
    )


def test_fractions_count_rows_and_keep_ties_together() -> None:
    at = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], [4, 2, 2, 1, 1]) * DAY
    splits = divide(at, [None] * 10, SplitConfig(by="time", val=0.15, test=0.25))
    assert splits == ["train"] * 4 + ["val"] * 2 + ["test"] * 4


ROWS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), min_size=30, max_size=90)
PARTS = st.sampled_from([0.1, 0.2, 0.3, "5d", "12d", "1.5d", "30h"])


@settings(deadline=None)
@given(
    rows=ROWS,
    newer=st.lists(st.integers(61, 90), max_size=40),
    val=PARTS,
    test=PARTS,
    gap=st.sampled_from(["0d", "3d"]),
)
def test_every_row_is_on_its_side_and_newer_rows_send_none_back_to_the_test(
    rows: list[tuple[int, int]], newer: list[int], val: float | str, test: float | str, gap: str
) -> None:
    config = SplitConfig(by="time", val=val, test=test, gap=gap)
    at = np.array([day for day, _ in rows], float) * DAY + START.timestamp()
    grown = np.append(at, np.array(newer, float) * DAY + START.timestamp())
    try:
        before = np.array(divide(at, [None] * len(at), config))
        after = np.array(divide(grown, [None] * len(grown), config))
    except DataError:
        return
    for times, splits in ((at, before), (grown, after)):
        ends = {split: (times[splits == split].min(), times[splits == split].max()) for split in SPLITS}
        assert ends["train"][1] < ends["val"][0] - seconds(gap)
        assert ends["val"][1] < ends["test"][0] - seconds(gap)
        assert ends["test"][1] == times.max()
        between = times[splits == "gap"]
        assert all(
            ends["train"][1] < each < ends["val"][0] or ends["val"][1] < each < ends["test"][0]
            for each in between
        )
        for part, split in ((val, "val"), (test, "test")):
            if isinstance(part, str):
                assert ends[split][1] - ends[split][0] < seconds(part)
    became_test = (after[: len(at)] == "test") & (before != "test")
    assert not became_test.any()


@settings(deadline=None)
@given(rows=ROWS, val=PARTS, test=PARTS)
def test_a_group_is_in_one_split_that_of_its_newest_row(
    rows: list[tuple[int, int]], val: float | str, test: float | str
) -> None:
    config = SplitConfig(by="time", val=val, test=test, group="speaker")
    at = np.array([day for day, _ in rows], float) * DAY
    groups = [f"g{group}" if group else None for _, group in rows]
    try:
        splits = np.array(divide(at, groups, config))
    except DataError:
        return
    for group in set(groups) - {None}:
        mine = np.array([each == group for each in groups])
        inside = set(splits[mine & (splits != "group")])
        assert len(inside - {"gap"}) == 1
        assert splits[mine & (at == at[mine].max())].tolist()[0] in inside


def test_the_message_names_the_borders() -> None:
    at = np.arange(10.0) * DAY + START.timestamp()
    with pytest.raises(
        DataError, match=r"no row for train and val.* 2025-01-01 to 2025-01-10; the test begins"
    ):
        divide(at, [None] * 10, SplitConfig(by="time", val="14d", test="28d"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"split": {"by": "time"}}, "set data.time"),
        ({"window": "30d"}, "set data.time"),
        ({"as_of": "2026-03-01"}, "set data.time"),
        ({"time": "t", "as_of": "March"}, "'March' is no day or moment"),
        ({"time": "t", "timezone": "Mars"}, "'Mars' is not a time zone"),
        ({"time": "t", "window": "0d"}, "'0d' is no time at all"),
        ({"time": "t", "window": "365"}, "'365' is not a period"),
        ({"split": {"test": "28d"}}, "a period is for by: time"),
        ({"split": {"gap": "7d"}}, "gap is for by: time"),
        ({"time": "t", "split": {"by": "time", "column": "split"}}, "a column gives the split already"),
        ({"time": "t", "split": {"by": "time", "test": 28}}, "28 is not a fraction"),
        ({"time": "t", "split": {"by": "time", "test": "0h"}}, "'0h' is no time at all"),
    ],
)
def test_options_that_do_not_fit_are_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig.model_validate({"source": "x.csv", **data})


def dated(count: int = 120, labelled_after: int = 5) -> list[dict[str, Any]]:
    """Rows of one a day from 2025-01-01, whose labels come some days later."""
    days = [START + timedelta(days=row) for row in range(count)]
    return [
        {
            "id": f"r{row}",
            "text": f"text {row}",
            "label": "ab"[row % 2],
            "day": day.date().isoformat(),
            "labelled": (day + timedelta(days=labelled_after)).date().isoformat(),
        }
        for row, day in enumerate(days)
    ]


BY_TIME = {"by": "time", "val": "14d", "test": "28d", "gap": "2d"}


class TestIngest:
    def test_splits_periods_and_what_is_left_out_are_told(
        self, tmp_path: Path, run: Make, manifest: Make
    ) -> None:
        dataset = run(manifest(tmp_path / "m.csv", dated()), split=BY_TIME, time="day", window="100d")
        assert dataset.splits == {"train": 54, "val": 14, "test": 28}
        assert dataset.left_out == {"gap": 4, "window": 20}
        assert dataset.periods["test"] == ("2025-04-03T00:00:00", "2025-04-30T00:00:00")
        assert (dataset.rows, dataset.quarantined) == (96, 0)
        samples = pd.read_parquet(dataset.samples)
        assert samples["time"].tolist() == sorted(samples["time"])

    def test_a_row_without_a_usable_time_goes_to_quarantine(
        self, tmp_path: Path, run: Make, manifest: Make
    ) -> None:
        rows = dated()
        rows[3]["day"], rows[4]["day"], rows[5]["day"] = "", "2025-02-30", "20250106"
        dataset = run(manifest(tmp_path / "m.csv", rows), split=BY_TIME, time="day")
        faults = pd.read_parquet(dataset.quarantine)
        assert faults["id"].tolist() == ["r3", "r4", "r5"]
        assert faults["reason"].tolist() == [
            "time day: the cell is empty",
            "time day: '2025-02-30' is a date that does not exist",
            "time day: '20250106' is no number of seconds since 1970 of the years 1973 to 5138, and no date",
        ]

    @pytest.mark.parametrize("split", [BY_TIME, {}])
    @pytest.mark.parametrize("labelled_after", [0, 5])
    def test_as_of_a_day_equals_a_run_on_the_table_of_that_day(
        self, tmp_path: Path, run: Make, manifest: Make, split: dict[str, Any], labelled_after: int
    ) -> None:
        rows = dated(labelled_after=labelled_after)
        rows[10]["day"], rows[11]["label"] = "", ""
        data = {"split": split, "time": "day", "window": "90d"}
        later = run(manifest(tmp_path / "m.csv", rows), **data, as_of="2025-04-10", labelled_at="labelled")
        shown_later = pd.read_parquet(later.samples)
        known = [dict(row) for row in rows if row["day"] <= "2025-04-10"]
        for row in known:
            row["label"] = row["label"] if row["labelled"] <= "2025-04-10" else ""
        then = run(manifest(tmp_path / "m.csv", known), **data)
        assert later.digest == then.digest
        assert later.splits == then.splits
        assert later.splits.get("unlabelled", 0) == labelled_after + 1
        pd.testing.assert_frame_equal(shown_later, pd.read_parquet(then.samples))
        assert pd.read_parquet(later.quarantine)["row"].tolist() == [10]
        assert later.left_out.pop("later") == 20
        assert later.left_out == then.left_out

    def test_a_moment_of_as_of_counts_itself(self, tmp_path: Path, run: Make, manifest: Make) -> None:
        rows = dated()
        for row in rows:
            row["day"] += "T12:00:00"
        path = manifest(tmp_path / "m.csv", rows)
        ends = {
            as_of: run(path, split=BY_TIME, time="day", as_of=as_of).periods["test"][1]
            for as_of in (
                "2025-04-10",
                "2025-04-10T12:00:00",
                "2025-04-10T11:59:59",
                "2025-04-10T13:59:59+02:00",
            )
        }
        assert list(ends.values()) == [
            "2025-04-10T12:00:00", "2025-04-10T12:00:00", "2025-04-09T12:00:00", "2025-04-09T12:00:00"
        ]  # fmt: skip

    def test_a_new_class_waits_until_it_is_in_training(
        self, tmp_path: Path, run: Make, manifest: Make
    ) -> None:
        rows = dated()
        rows[-1]["label"] = "new"
        dataset = run(manifest(tmp_path / "m.csv", rows), split=BY_TIME, time="day")
        (fault,) = pd.read_parquet(dataset.quarantine)["reason"]
        assert fault == "target label: no training row has class 'new' yet (it would be in test)"

    def test_a_split_of_the_source_gives_way_to_time(self, tmp_path: Path, run: Make, manifest: Make) -> None:
        one = run(manifest(tmp_path / "m.csv", dated()), split=BY_TIME, time="day")
        rows = [row | {"split": "train"} for row in dated()]
        assert run(manifest(tmp_path / "m.csv", rows), split=BY_TIME, time="day").digest == one.digest


class TestUnlabelled:
    def test_rows_without_a_target_are_kept_and_move_no_other(
        self, tmp_path: Path, run: Make, manifest: Make
    ) -> None:
        rows = dated()
        full = pd.read_parquet(run(manifest(tmp_path / "m.csv", rows), split={}).samples).set_index("id")
        for row in rows[10:40]:
            row["label"] = ""
        dataset = run(manifest(tmp_path / "m.csv", rows), split={})
        samples = pd.read_parquet(dataset.samples).set_index("id")
        assert dataset.splits["unlabelled"] == 30
        assert dataset.quarantined == 0
        assert "30 rows have no target and are kept as split unlabelled" in dataset.findings
        labelled = samples[samples["split"] != "unlabelled"].index
        assert (samples.loc[labelled, "split"] == full.loc[labelled, "split"]).all()
        assert pd.isna(samples.loc["r10", "target.label"])

    def test_a_split_column_marks_them_and_their_labels_are_not_looked_at(
        self, tmp_path: Path, run: Make, manifest: Make, text_rows: Make
    ) -> None:
        rows = text_rows(40)
        rows[20] |= {"split": "unlabeled", "label": "a class of its own"}
        dataset = run(manifest(tmp_path / "m.csv", rows))
        assert dataset.splits == {"train": 35, "val": 2, "test": 2, "unlabelled": 1}
        assert dataset.targets.primary.columns == ("a", "b")
        assert pd.isna(pd.read_parquet(dataset.samples).set_index("id").loc["r20", "target.label"])

    def test_a_table_without_any_target_is_refused(self, tmp_path: Path, run: Make, manifest: Make) -> None:
        rows = [row | {"label": ""} for row in dated()]
        with pytest.raises(DataError, match=r"no usable row has a target \(label is empty\)"):
            run(manifest(tmp_path / "m.csv", rows), split={})
