"""From cells to targets: what cannot be read, what has an order, which labels there are, strata."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.config.targets import (
    ClassificationTarget,
    MultilabelTarget,
    OrdinalTarget,
    RegressionTarget,
)
from components.data.labels import strata, unusable_target
from components.errors import DataError
from components.targets import Classification, Multilabel, Ordinal, Regression

Make = Callable[..., Any]
PRICE = {"column": "price", "task": "regression"}
GRADE = {"column": "grade", "task": "ordinal"}
TAGS = {"column": "tags", "task": "multilabel"}


def with_column(rows: list[dict[str, Any]], column: str, cells: list[Any]) -> list[dict[str, Any]]:
    return [{**row, column: cells[index % len(cells)]} for index, row in enumerate(rows)]


def reasons(quarantine: str) -> list[tuple[str, str]]:
    table = pd.read_parquet(quarantine)
    return list(zip(table["id"], table["reason"], strict=True))


class TestNumbers:
    @pytest.mark.parametrize("cell", ["1", "-2.5", " 3 ", "1e-3", "+4", None])
    def test_numbers_and_empty_cells_can_be_used(self, cell: str | None) -> None:
        assert unusable_target(RegressionTarget(), cell) is None

    @pytest.mark.parametrize(
        ("cell", "reason"),
        [
            ("cheap", "'cheap' is not a number"),
            ("1,5", "'1,5' is not a number"),
            ("12 €", "'12 €' is not a number"),
            ("nan", "'nan' is not a finite number"),
            ("-inf", "'-inf' is not a finite number"),
            ("1e999", "'1e999' is not a finite number"),
        ],
    )
    def test_what_is_no_number_says_why(self, cell: str, reason: str) -> None:
        assert unusable_target(RegressionTarget(), cell) == reason

    def test_rows_with_unreadable_numbers_go_to_quarantine(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        rows = with_column(text_rows(40), "price", [1, 2.5, 4])
        rows[10]["price"], rows[11]["price"], rows[12]["price"] = "cheap", "", "inf"
        dataset = run(manifest(tmp_path / "m.csv", rows), target=PRICE, max_bad=0.2)
        assert reasons(dataset.quarantine) == [
            ("r10", "target price: 'cheap' is not a number"),
            ("r12", "target price: 'inf' is not a finite number"),
        ]
        used = pd.read_parquet(dataset.samples)
        assert "r10" not in set(used["id"])
        assert used.set_index("id")["split"]["r11"] == "unlabelled"
        train = used[used["split"] == "train"]["target.price"].astype(float)
        target = dataset.targets.primary
        assert target == Regression(
            "price", "r2", pytest.approx(train.mean()), pytest.approx(train.std(ddof=0)), "gaussian"
        )

    def test_too_many_of_them_stop_the_run(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        rows = with_column(text_rows(40), "price", ["1", "much"])
        with pytest.raises(DataError, match=r"20 of 40 rows.*max_bad"):
            run(manifest(tmp_path / "m.csv", rows), target=PRICE)

    def test_numbers_that_never_change_are_told(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        source = manifest(tmp_path / "m.csv", with_column(text_rows(), "price", [7]))
        with pytest.raises(DataError, match="'price' is 7 in all training rows: nothing to learn"):
            run(source, target=PRICE)

    @pytest.mark.parametrize(("transform", "takes_log"), [("auto", True), ("log", True), ("none", False)])
    def test_skewed_numbers_have_a_log_scale_and_a_finding(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make, transform: str, takes_log: bool
    ) -> None:
        cells = np.exp(np.random.default_rng(0).normal(11, 1.2, 200)).round(2).tolist()
        source = manifest(tmp_path / "m.csv", with_column(text_rows(200), "price", cells))
        dataset = run(source, target={**PRICE, "transform": transform})
        samples = pd.read_parquet(dataset.samples)
        train = samples.loc[samples["split"] == "train", "target.price"].astype(float)
        target = dataset.targets.primary
        if takes_log:
            assert target.mean == pytest.approx(np.log(train).mean())
            assert target.std == pytest.approx(np.log(train).std(ddof=0))
            assert (target.shift, target.least) == (0.0, pytest.approx(train.min() / 2))
        else:
            assert (target.shift, target.mean) == (None, pytest.approx(train.mean()))
        assert any("price: its numbers have long tails" in each for each in dataset.findings) is takes_log

    def test_a_log_scale_of_numbers_below_0_is_refused(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        source = manifest(tmp_path / "m.csv", with_column(text_rows(40), "price", [1, 3, -2]))
        with pytest.raises(DataError, match="'price' has -2 in a training row, and the logarithm needs"):
            run(source, target={**PRICE, "transform": "log"})


class TestOrder:
    def test_classes_that_are_numbers_have_an_order(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        source = manifest(tmp_path / "m.csv", with_column(text_rows(40), "grade", ["10", "2", "-1"]))
        dataset = run(source, target=GRADE, split={})
        assert dataset.targets.primary == Ordinal("grade", "quadratic_kappa", ("-1", "2", "10"))

    def test_an_order_is_taken_as_it_is_given(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        source = manifest(tmp_path / "m.csv", with_column(text_rows(40), "grade", ["low", "high"]))
        order = ["low", "middle", "high"]  # one that no row has
        dataset = run(source, target={**GRADE, "order": order}, split={})
        assert dataset.targets.primary.classes == tuple(order)

    def test_numbers_in_an_order_are_words(self) -> None:
        assert OrdinalTarget(order=[1, 2, "3+"]).order == ["1", "2", "3+"]  # type: ignore[list-item]

    def test_words_without_an_order_ask_for_one(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        source = manifest(tmp_path / "m.csv", with_column(text_rows(40), "grade", ["low", "high"]))
        with pytest.raises(
            DataError, match=r"classes of 'grade' are words \(high, low\).*give target.order, lowest first"
        ):
            run(source, target=GRADE, split={})

    def test_a_class_that_is_not_in_the_order_goes_to_quarantine(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        rows = with_column(text_rows(40), "grade", ["low", "high"])
        rows[9] = {**rows[9], "grade": "hihg"}
        order = {**GRADE, "order": ["low", "high"]}
        config = OrdinalTarget(**order)
        assert unusable_target(config, "hihg") == "'hihg' is not in order (low, high)"
        assert unusable_target(config, "low") is None
        assert unusable_target(OrdinalTarget(), "anything") is None
        dataset = run(manifest(tmp_path / "m.csv", rows), target=order, split={}, max_bad=0.1)
        assert reasons(dataset.quarantine) == [("r9", "target grade: 'hihg' is not in order (low, high)")]
        assert dataset.targets.primary.classes == ("low", "high")


class TestLabels:
    @pytest.mark.parametrize(
        ("options", "cells"),
        [
            ({}, ["red|blue", " blue | round ", "none", "red"]),
            ({"separator": ", "}, ["red, blue", "blue, round", "none", "red"]),
            ({"separator": ";", "none": "-"}, ["red;blue;", "blue;round", "-", "red"]),
        ],
    )
    def test_cells_are_taken_apart(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make, options: Any, cells: list[str]
    ) -> None:
        source = manifest(tmp_path / "m.csv", with_column(text_rows(40), "tags", cells))
        dataset = run(source, target={**TAGS, **options}, split={})
        target = dataset.targets.primary
        assert isinstance(target, Multilabel)
        assert target.classes == ("blue", "red", "round")
        np.testing.assert_array_equal(target.encode(cells), [[1, 1, 0], [1, 0, 1], [0, 0, 0], [0, 1, 0]])

    def test_an_empty_cell_is_not_known_and_leaves_the_row_unlabelled(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        rows = with_column(text_rows(40), "tags", ["red", "none", "blue"])
        rows[20] = {**rows[20], "tags": ""}
        dataset = run(manifest(tmp_path / "m.csv", rows), target=TAGS, split={}, max_bad=0.1)
        assert not reasons(dataset.quarantine)
        assert dataset.splits["unlabelled"] == 1

    def test_labels_that_train_lacks_are_left_out_and_told(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        rows = with_column(text_rows(40), "tags", ["red", "blue"])
        rows[0]["tags"] = "red|new"  # of val
        with caplog.at_level(logging.WARNING):
            dataset = run(manifest(tmp_path / "m.csv", rows), target=TAGS)
        assert dataset.targets.primary.classes == ("blue", "red")
        assert "labels that no training row has; they are ignored: 'new' (1 rows)" in caplog.text

    def test_rows_without_any_label_at_all_are_nothing_to_learn_from(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        source = manifest(tmp_path / "m.csv", with_column(text_rows(), "tags", ["none"]))
        with pytest.raises(DataError, match="no training row has any label in 'tags'"):
            run(source, target=TAGS)


class TestSeveral:
    def test_a_row_with_one_of_them_is_enough(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        rows = with_column(text_rows(60), "price", ["1.5", "", "3"])
        for row in rows[5::12]:
            row["label"] = ""
        rows[7] |= {"label": "", "price": ""}
        dataset = run(manifest(tmp_path / "m.csv", rows), further_targets=[PRICE], max_bad=0.05)
        assert not reasons(dataset.quarantine)
        assert dataset.splits["unlabelled"] == 1
        assert [type(target) for target in dataset.targets] == [Classification, Regression]
        samples = pd.read_parquet(dataset.samples)
        assert samples["target.label"].isna().sum() == 5 + 1
        values = dataset.targets.encode(samples)
        assert (values["label"] == -1).sum() == 5 + 1
        assert values["price"].isnan().sum() == samples["target.price"].isna().sum() > 10

    def test_a_split_without_any_row_of_a_target_is_told_before_anything_is_trained(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        rows = with_column(text_rows(40), "price", ["1", "2", "4"])
        for row in rows:
            if row["split"] == "val":
                row["price"] = ""
        with pytest.raises(DataError, match=r"no row of val has the target 'price'.*Every split needs some"):
            run(manifest(tmp_path / "m.csv", rows), further_targets=[PRICE])

    def test_no_input_may_read_any_of_them(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        source = manifest(tmp_path / "m.csv", with_column(text_rows(), "price", ["1", "2"]))
        table = {"facts": {"modality": "tabular", "columns": ["price"]}}
        with pytest.raises(DataError, match=r"inputs\.facts\.columns: 'price' is a target"):
            run(source, table, further_targets=[PRICE])

    def test_a_column_that_is_not_there_is_named_with_its_place(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        source = manifest(tmp_path / "m.csv", with_column(text_rows(), "price", ["1", "2"]))
        further = [{**PRICE, "column": "prise"}]
        with pytest.raises(
            DataError, match=r"further_targets\.0\.column: 'prise' is not a column.*Did you mean 'price'\?"
        ):
            run(source, further_targets=further)

    def test_the_data_are_others_when_any_of_them_changes(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        rows = with_column(text_rows(40), "price", ["1", "2", "4"])
        first = run(manifest(tmp_path / "m.csv", rows), further_targets=[PRICE])
        rows[30]["price"] = "5"
        assert run(manifest(tmp_path / "m.csv", rows), further_targets=[PRICE]).digest != first.digest


class TestStrata:
    def test_classes_are_their_own(self) -> None:
        assert strata(ClassificationTarget(), ["b", None, "a"]) == ["b", "", "a"]
        assert strata(OrdinalTarget(), ["2", None]) == ["2", ""]

    def test_numbers_are_divided_into_tenths_of_the_rows(self) -> None:
        cells = [*(str(number) for number in range(100)), None]
        groups = strata(RegressionTarget(), cells)
        assert groups[-1] == ""
        assert pd.Series(groups[:-1]).value_counts().tolist() == [10] * 10
        assert groups[0] != groups[99]
        assert len(set(groups[:10])) == 1

    def test_numbers_of_few_values_have_few_strata(self) -> None:
        assert len(set(strata(RegressionTarget(), ["0"] * 95 + ["1"] * 5))) <= 2
        assert strata(RegressionTarget(), [None, None]) == ["", ""]

    def test_a_row_of_labels_counts_for_its_rarest(self) -> None:
        cells = ["common|rare", "common", "common|middle", "middle", "none", None]
        assert strata(MultilabelTarget(), cells) == ["rare", "common", "middle", "middle", "", ""]

    def test_every_split_has_numbers_of_the_whole_range(
        self, tmp_path: Path, run: Make, text_rows: Make, manifest: Make
    ) -> None:
        rows = [{**row, "price": index} for index, row in enumerate(text_rows(200))]
        dataset = run(manifest(tmp_path / "m.csv", rows), target=PRICE, split={})
        samples = pd.read_parquet(dataset.samples)
        for _, part in samples.groupby("split"):
            prices = part["target.price"].astype(float)
            assert prices.min() < 40
            assert prices.max() > 160
