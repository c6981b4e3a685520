"""New rows against those that a model carries: like with like, every part by its name, in bounded memory."""

from __future__ import annotations

import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.config import PipelineConfig
from components.config.monitor import MonitorConfig
from components.data.quarantine import Quarantine
from components.errors import DataError
from components.inference.bundle import REFERENCE
from components.inference.predictor import Predictor
from components.inference.reference_rows import Sample, read_sample, write_sample
from components.monitoring.compare import compare
from components.monitoring.incoming import Incoming, look
from components.monitoring.reference import draw_reference, respelled
from components.monitoring.results import Drift, Test
from components.monitoring.summaries import summarise
from components.preprocess.audio import AudioPreprocessor
from components.preprocess.pcm import pack, pack_several
from components.preprocess.several import SeveralPreprocessor
from components.targets import AnyTarget, Multilabel, Regression, Targets
from tests.components.conftest import BuiltModel

HELD_OUT = 48  # validation and test rows of the tiny manifest


@pytest.fixture(scope="module")
def predictor(tiny: BuiltModel) -> Predictor:
    return Predictor(tiny.bundle, "cpu")


@pytest.fixture(scope="module")
def reference(tiny: BuiltModel) -> Sample:
    return read_sample(tiny.bundle / REFERENCE)


@pytest.fixture
def rows(tiny_data: Path) -> pd.DataFrame:
    """The rows that the model carries, as a user has them."""
    table = pd.read_csv(tiny_data / "rows.csv", dtype=str, keep_default_na=False)
    return table[table["split"] != "train"].reset_index(drop=True)


@pytest.fixture
def folder(tiny_data: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_data / "photos", tmp_path / "photos")
    return tmp_path


def looked(predictor: Predictor, folder: Path, table: pd.DataFrame, **options: Any) -> Incoming:
    table.to_csv(folder / "new.csv", index=False)
    return look(config_of(folder, **options), predictor, carried())


def carried(allow_missing_files: bool = False) -> Sample:
    """Reference of a model, with its record of faults alone."""
    return Sample(0, {}, {}, {}, {}, {}, {}, 0, 0, allow_missing_files)


def config_of(folder: Path, **options: Any) -> MonitorConfig:
    return MonitorConfig.model_validate({"model": "tiny", "manifest": str(folder / "new.csv"), **options})


def compared(predictor: Predictor, reference: Sample, incoming: Incoming, **options: Any) -> Drift:
    bundle = predictor.bundle
    config = config_of(Path(), **options)
    return compare(reference, incoming, bundle.inputs, bundle.delivered.targets, config)


def same(one: Sample, other: Sample, tolerance: float) -> None:
    assert one.rows == other.rows
    assert list(one.vectors) == list(other.vectors)
    for name in one.vectors:
        assert np.array_equal(one.present[name], other.present[name])
        np.testing.assert_allclose(one.vectors[name], other.vectors[name], atol=tolerance)
        assert one.columns[name].keys() == other.columns[name].keys()
        for column, cells in one.columns[name].items():
            if isinstance(cells, list):
                assert cells == other.columns[name][column]
            else:
                np.testing.assert_allclose(cells, other.columns[name][column], rtol=1e-6)
    for target, answers in one.answers.items():
        np.testing.assert_allclose(answers, other.answers[target], atol=tolerance)
    assert one.targets == other.targets


class TestSamples:
    def test_the_reference_is_what_monitoring_sees_of_the_same_rows(
        self, predictor: Predictor, reference: Sample, folder: Path, rows: pd.DataFrame
    ) -> None:
        sample = looked(predictor, folder, rows).sample
        assert sample.rows == HELD_OUT
        assert not sample.present["photo"].all(), "some rows lack an input"
        same(sample, reference, 1e-5)  # cached features and fresh ones differ by the batches of their sums

    def test_a_sample_is_read_as_it_was_written(self, reference: Sample, tmp_path: Path) -> None:
        write_sample(reference, tmp_path / "sample.parquet")
        loaded = read_sample(tmp_path / "sample.parquet")
        same(loaded, reference, 0)
        assert (loaded.faulty, loaded.judged) == (reference.faulty, reference.judged) == (0, 96)

    def test_the_reference_holds_no_row_that_was_learned_from_and_no_more_than_wanted(
        self, tiny: BuiltModel
    ) -> None:
        assert set(draw_reference(tiny.dataset, tiny.config)["split"]) == {"val", "test"}
        few = tiny.config.model_copy(
            update={"monitoring": tiny.config.monitoring.model_copy(update={"rows": 10})}
        )
        drawn = draw_reference(tiny.dataset, few)
        assert len(drawn) == 10
        pd.testing.assert_frame_equal(drawn, draw_reference(tiny.dataset, few))

    def test_a_model_may_carry_none(self, config: Any, build: Any, tiny_data: Path, tmp_path: Path) -> None:
        pipeline: PipelineConfig = config(monitoring={"rows": 0})
        built = build(pipeline, tmp_path, tiny_data)
        assert not (built.bundle / REFERENCE).exists()

    def test_rows_are_drawn_by_the_seed_and_memory_does_not_grow_with_the_table(
        self, predictor: Predictor, folder: Path, rows: pd.DataFrame
    ) -> None:
        many = pd.concat([rows] * 10, ignore_index=True)
        calls: list[tuple[int, int]] = []
        many.to_csv(folder / "new.csv", index=False)
        incoming = look(
            config_of(folder, rows=200), predictor, carried(), lambda done, total: calls.append((done, total))
        )
        assert (incoming.total, incoming.sample.rows, incoming.sample.judged) == (480, 200, 200)
        assert calls == [(128, 200), (200, 200)], "held are 128 rows at a time"
        same(looked(predictor, folder, many, rows=200).sample, incoming.sample, 0)
        other = looked(predictor, folder, many, rows=200, seed=1).sample
        assert other.targets != incoming.sample.targets

    def test_sounds_are_summed_up_in_seconds_decibels_and_hertz(self) -> None:
        rate = 4000
        tone = np.sin(2 * np.pi * 250 * (np.arange(rate) + 0.5) / rate).astype(np.float32)
        one = AudioPreprocessor(rate, 2.0, "start", False, True)
        assert summarise(one, pack(tone)) == pytest.approx((1.0, 20 * np.log10(np.sqrt(2)), 500), abs=1.1)
        two = pack_several([pack(tone), pack(tone[: rate // 2])])
        assert summarise(SeveralPreprocessor(one, "mean"), two)[0] == pytest.approx(1.5)


class TestComparing:
    def test_the_same_rows_are_no_drift(
        self, predictor: Predictor, reference: Sample, folder: Path, rows: pd.DataFrame
    ) -> None:
        drift = compared(predictor, reference, looked(predictor, folder, rows))
        assert not drift.drifted
        assert drift.notes == ()
        assert (drift.rows, drift.looked, drift.usable, drift.reference) == (48, 48, 48, 48)
        kinds = {(test.kind, test.part, test.column) for test in drift.tests}
        assert kinds >= {("column", "facts", "age"), ("column", "facts", "city"), ("label", "label", None)}
        assert len({test.key for test in drift.tests}) == len(drift.tests)

    def test_a_number_that_moved_is_named_and_a_floor_lets_it_pass(
        self, predictor: Predictor, reference: Sample, folder: Path, rows: pd.DataFrame
    ) -> None:
        older = rows.assign(age=[cell and str(float(cell) + 30) for cell in rows["age"]])
        incoming = looked(predictor, folder, older)
        drift = compared(predictor, reference, incoming)
        assert "facts" in drift.inputs
        assert "facts_age_psi" in [test.key for test in drift.tests if test.drifted]
        assert not any(test.drifted for test in drift.tests if test.part in ("photo", "note"))
        lax = {"min_mmd": 9, "min_auc": 0.999, "min_psi": 99}
        assert not compared(predictor, reference, incoming, **lax).drifted

    def test_labels_and_categories_in_another_spelling_are_no_drift(
        self, predictor: Predictor, folder: Path, rows: pd.DataFrame, reference: Sample
    ) -> None:
        other = rows.apply(lambda cells: [f" {unicodedata.normalize('NFD', cell)}" for cell in cells])
        sample = looked(predictor, folder, other[["label", "note", "age", "city"]]).sample
        assert sample.targets == reference.targets
        assert sample.columns["facts"]["city"] == reference.columns["facts"]["city"]

    def test_a_reference_of_an_earlier_braid_is_spelled_as_new_rows_are(
        self, predictor: Predictor, reference: Sample
    ) -> None:
        earlier = replace(
            reference, targets={"label": [f"{cell}\u200b" for cell in reference.targets["label"]]}
        )
        assert respelled(earlier, predictor.bundle).targets == reference.targets

    def test_a_category_that_is_new_is_drift(
        self, predictor: Predictor, reference: Sample, folder: Path, rows: pd.DataFrame
    ) -> None:
        moved = rows.assign(city=rows["city"].replace("Köln", "Aachen"))
        drift = compared(predictor, reference, looked(predictor, folder, moved))
        assert "facts_city_psi" in [test.key for test in drift.tests if test.drifted]

    def test_inputs_that_went_missing_and_classes_that_shifted_are_drift(
        self, predictor: Predictor, reference: Sample, folder: Path, rows: pd.DataFrame
    ) -> None:
        gone = rows.assign(photo=["" if row % 2 else cell for row, cell in enumerate(rows["photo"])])
        drift = compared(predictor, reference, looked(predictor, folder, gone))
        assert "photo_missing_rate_change" in [test.key for test in drift.tests if test.drifted]
        ants = rows[rows["label"] == "ant"]
        ants = pd.concat([ants] * 3, ignore_index=True)
        drift = compared(predictor, reference, looked(predictor, folder, ants))
        assert "targets" in drift.parts
        assert "label_label_psi" in [test.key for test in drift.tests if test.drifted]

    def test_bad_files_go_to_quarantine_with_their_row_and_are_drift(
        self, predictor: Predictor, reference: Sample, folder: Path, rows: pd.DataFrame
    ) -> None:
        (folder / "bad.png").write_bytes(b"no picture")
        spoilt = rows.copy()
        spoilt.loc[10:29, "photo"] = "bad.png"
        spoilt.loc[40, ["photo", "note", "age", "city"]] = ""
        incoming = looked(predictor, folder, spoilt)
        assert sorted(incoming.quarantine.rows) == [*range(10, 30), 40]
        first, last = incoming.quarantine.faults[0], incoming.quarantine.faults[-1]
        assert (first.input, first.path) == ("photo", str(folder / "bad.png"))
        assert last.reason == "no input at all (every input is missing)"
        assert incoming.sample.rows == HELD_OUT - 21
        drift = compared(predictor, reference, incoming)
        assert "quarantine" in drift.parts
        (test,) = (test for test in drift.tests if test.kind == "quarantine")
        assert test.effect == pytest.approx(21 / 48)

    def test_a_file_that_does_not_exist_is_what_it_was_in_training(
        self, predictor: Predictor, folder: Path, rows: pd.DataFrame
    ) -> None:
        lost = rows.copy()
        lost.loc[3, "photo"] = "lost.png"
        assert looked(predictor, folder, lost).quarantine.rows == {3}
        allowed = look(config_of(folder), predictor, carried(allow_missing_files=True))
        assert allowed.quarantine.rows == set()
        assert not allowed.sample.present["photo"][3]
        assert allowed.sample.rows == HELD_OUT

    def test_what_the_table_lacks_is_not_compared_and_told(
        self, predictor: Predictor, reference: Sample, folder: Path, rows: pd.DataFrame
    ) -> None:
        drift = compared(predictor, reference, looked(predictor, folder, rows[["note", "age", "city"]]))
        assert not drift.drifted
        assert {test.part for test in drift.tests} == {"note", "facts", "rows"}
        assert drift.notes[0] == "photo: the table has none of its columns (photo)"
        assert "answers for label: the model looks at photo" in drift.notes[1]

    def test_an_input_that_few_rows_have_is_not_compared_but_its_absence_is(
        self, predictor: Predictor, reference: Sample, folder: Path, rows: pd.DataFrame
    ) -> None:
        rare = rows.assign(photo=["" if row > 5 else cell for row, cell in enumerate(rows["photo"])])
        drift = compared(predictor, reference, looked(predictor, folder, rare))
        assert [test.key for test in drift.tests if test.part == "photo"] == ["photo_missing_rate_change"]
        assert "photo" in drift.inputs
        assert "old files; comparing takes 20 of each" in drift.notes[0]

    def test_a_file_in_many_rows_counts_once(
        self, predictor: Predictor, reference: Sample, folder: Path, rows: pd.DataFrame
    ) -> None:
        """Counted by the row, a classifier would know the files again: 24 of them, each in three rows."""
        few = rows[rows["photo"] != ""].head(24)
        again = pd.concat([few] * 3, ignore_index=True)
        drift = compared(predictor, reference, looked(predictor, folder, again))
        once = compared(predictor, reference, looked(predictor, folder, few))
        effects = [
            {test.key: test.effect for test in each.tests if test.part == "photo" and test.kind != "missing"}
            for each in (drift, once)
        ]
        assert len(effects[0]) == 4
        assert effects[0] == pytest.approx(effects[1], abs=1e-6)

    def test_so_many_tests_are_made_that_more_permutations_are_needed(
        self, predictor: Predictor, reference: Sample, folder: Path, rows: pd.DataFrame
    ) -> None:
        """With 99 permutations no p-value is below .01, and Holm's first step at 15 tests asks for .0033."""
        noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
        for row in range(len(rows)):
            level = np.clip(noise.astype(int) * 4 + row, 0, 255).astype(np.uint8)
            Image.fromarray(level).save(folder / f"bright-{row}.png")
        bright = rows.assign(photo=[cell and f"bright-{row}.png" for row, cell in enumerate(rows["photo"])])
        drift = compared(predictor, reference, looked(predictor, folder, bright), permutations=99)
        (test,) = (test for test in drift.tests if test.kind == "embedding" and test.part == "photo")
        assert test.drifted
        assert test.p < 1 / 100


class TestTargets:
    """Targets of every kind, as rows of text, against an answer of their kind."""

    NUMBER = Regression("price", "r2", 0.0, 1.0, "gaussian")
    WORDS = Multilabel("tags", "f1_micro", ("big", "red"), "|", "none")

    def sample(self, target: AnyTarget, cells: list[str | None], answers: np.ndarray) -> Sample:
        return Sample(len(cells), {}, {}, {}, {}, {target.name: answers}, {target.name: cells}, 0, len(cells))

    def by_key(self, target: AnyTarget, old: Sample, new: Sample) -> dict[str, Test]:
        incoming = Incoming(new, new.rows, (), (), Quarantine())
        drift = compare(old, incoming, {}, Targets((target,)), config_of(Path()))
        return {test.key: test for test in drift.tests}

    def test_a_number_is_compared_as_a_number(self) -> None:
        rng = np.random.default_rng(0)
        answers = np.stack([rng.normal(size=200), np.full(200, 0.1)], axis=1)
        cells: list[str | None] = [f"{value:.3f}" for value in rng.normal(size=200)]
        old = self.sample(self.NUMBER, cells, answers)
        assert not any(test.drifted for test in self.by_key(self.NUMBER, old, old).values())
        dearer = self.sample(
            self.NUMBER, [str(float(cell or 0) + 1) for cell in cells], answers + np.array([1, 0])
        )
        tests = self.by_key(self.NUMBER, old, dearer)
        assert tests["label_price_psi"].drifted
        assert tests["answer_price_psi"].drifted
        assert not tests["confidence_price_psi"].drifted
        odd = self.sample(self.NUMBER, ["a lot", None, *cells[2:]], answers)
        assert not self.by_key(self.NUMBER, old, odd)["label_price_psi"].drifted

    def test_labels_are_compared_one_by_one(self) -> None:
        cells: list[str | None] = ["big|red", "red", "none", "big"] * 50
        answers = np.tile([[0.9, 0.9], [0.1, 0.9], [0.1, 0.1], [0.9, 0.1]], (50, 1))
        old = self.sample(self.WORDS, cells, answers)
        assert not any(test.drifted for test in self.by_key(self.WORDS, old, old).values())
        redder: list[str | None] = ["big|red", "red", "red", "big"] * 50
        tests = self.by_key(self.WORDS, old, self.sample(self.WORDS, redder, answers))
        assert [key for key, test in tests.items() if test.drifted] == ["label_tags_psi"]

    def test_targets_that_few_rows_have_are_not_compared(self) -> None:
        few: list[str | None] = [None] * 190 + ["red"] * 10
        old = self.sample(self.WORDS, ["red"] * 200, np.full((200, 2), 0.3))
        new = self.sample(self.WORDS, few, old.answers["tags"])
        assert "label_tags_psi" not in self.by_key(self.WORDS, old, new)


class TestPipelines:
    @pytest.mark.parametrize("strategy", ["staged", "joint"])
    def test_the_reference_is_what_monitoring_sees_whatever_was_trained_with_the_encoders(
        self, strategy: str, config: Any, build: Any, own_data: Path, tmp_path: Path
    ) -> None:
        """Several files in a row, dates, a truth, and the encoders that the fusion was trained with."""
        table = pd.read_csv(own_data / "rows.csv", dtype=str, keep_default_na=False)
        table["back"] = np.roll(table["photo"], 3)
        table["since"] = [f"2024-{1 + row % 12:02d}-{1 + row % 28:02d}" for row in range(len(table))]
        table["member"] = ["yes" if row % 3 else "no" for row in range(len(table))]
        table.to_csv(own_data / "rows.csv", index=False)
        pipeline = config(strategy=strategy)
        photo, facts = pipeline.inputs["photo"], pipeline.inputs["facts"]
        inputs = {
            "photo": photo.model_copy(update={"columns": ["photo", "back"]}),
            "facts": facts.model_copy(update={"columns": ["age", "since", "member"]}),
        }
        built: BuiltModel = build(pipeline.model_copy(update={"inputs": inputs}), tmp_path, own_data)
        held = table[table["split"] != "train"]
        held.to_csv(own_data / "new.csv", index=False)
        incoming = look(config_of(own_data), Predictor(built.bundle, "cpu"), carried())
        old = read_sample(built.bundle / REFERENCE)
        same(incoming.sample, old, 1e-4)  # float32 sums over other batches, through more layers
        assert old.columns["facts"]["member"][:3] == ["no", "yes", "yes"]
        assert float(old.columns["facts"]["since"][1]) - float(old.columns["facts"]["since"][0]) > 20


class TestErrors:
    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ("id,note\n", "new.csv: has 0 rows; to tell drift from chance it needs at least 20"),
            ("id,note\n1,x\n2,y\n", "new.csv: has 2 rows"),
            ("a,b\n1,2\n", "has none of the model's columns photo, note, age, city"),
        ],
    )
    def test_a_table_that_cannot_be_compared_is_told(
        self, predictor: Predictor, tmp_path: Path, lines: str, message: str
    ) -> None:
        (tmp_path / "new.csv").write_text(lines)
        with pytest.raises(DataError, match=message):
            look(config_of(tmp_path), predictor, carried())

    def test_a_table_that_is_not_there(self, predictor: Predictor, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"manifest: there is no .*new\.csv"):
            look(config_of(tmp_path), predictor, carried())


class TestGroups:
    def test_groups_of_new_rows_are_read_from_the_column_of_the_training(
        self, predictor: Predictor, folder: Path, rows: pd.DataFrame
    ) -> None:
        rows["batch"] = [str(row // 6) if row else "" for row in range(len(rows))]
        rows.to_csv(folder / "new.csv", index=False)
        sample = look(config_of(folder), predictor, replace(carried(), group="batch")).sample
        assert sample.groups is not None
        assert sample.groups[:7] == [None, *["0"] * 5, "1"]
        lacking = look(config_of(folder), predictor, replace(carried(), group="speaker")).sample
        assert lacking.groups is None

    def test_groups_are_written_and_read(self, reference: Sample, tmp_path: Path) -> None:
        grouped = replace(reference, group="batch", groups=["a", None] * (HELD_OUT // 2))
        write_sample(grouped, tmp_path / "sample.parquet")
        loaded = read_sample(tmp_path / "sample.parquet")
        assert (loaded.group, loaded.groups) == (grouped.group, grouped.groups)

    def test_whole_groups_are_compared_and_too_few_of_them_are_named(
        self, predictor: Predictor, reference: Sample
    ) -> None:
        old = replace(reference, group="batch", groups=[str(row // 12) for row in range(HELD_OUT)])
        moved = replace(old, vectors={name: vectors + 9 for name, vectors in old.vectors.items()}, faulty=0)
        drift = compared(predictor, old, Incoming(moved, HELD_OUT, (), (), Quarantine()))
        assert not drift.drifted, "4 old and 4 new groups have 70 divisions"
        assert any("4 old and 4 new groups (batch) are too few" in note for note in drift.notes)
        alone = replace(moved, groups=[None] * HELD_OUT)
        drift = compared(
            predictor, replace(old, groups=alone.groups), Incoming(alone, HELD_OUT, (), (), Quarantine())
        )
        assert drift.drifted
        unknown = replace(moved, groups=None)
        drift = compared(predictor, old, Incoming(unknown, HELD_OUT, (), (), Quarantine()))
        assert any("no column 'batch'" in note for note in drift.notes)
