"""Two models are compared on rows from which neither has learned, as a table grows and pipelines change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.config import PipelineConfig
from components.data.ingest import ingest
from components.data.samples import open_samples_table
from components.inference.bundle import load_bundle
from components.inference.learned_rows import (
    MOST,
    DigestSet,
    LearnedRows,
    learned_rows,
    read_learned,
    write_learned,
)
from components.inference.predictor import Predictor
from components.pipeline.run import BuiltModel, build_model
from components.promotion.compare import Rival, compare
from components.promotion.rows import HeldOutRows, rows_of
from components.promotion.verdict import Verdict

FIT = {"epochs": 1, "batch_size": 64}


def visits(rows: int) -> pd.DataFrame:
    """Visits of people at sites; a longer table begins with the rows of a shorter one."""
    rng = np.random.default_rng(0)
    ill = rng.random(2000) < 0.5
    table = pd.DataFrame(
        {
            "id": [f"v{row}" for row in range(2000)],
            "ill": ill,
            "x": rng.normal(ill * 1.0, 1),
            "person": [f"p{number}" for number in rng.integers(0, 150, 2000)],
            "site": [f"s{number}" for number in rng.integers(0, 40, 2000)],
        }
    )
    return table.head(rows)


def pipeline(**data: Any) -> PipelineConfig:
    """A small pipeline; options of ``data``."""
    encoder = {"name": "mlp", "width": 4, "hidden": [4]}
    return PipelineConfig.model_validate(
        {
            "name": "visits",
            "data": {"source": "visits.csv", **data},
            "target": {"column": "ill"},
            "inputs": {"facts": {"modality": "tabular", "columns": ["x"], "encoder": encoder, "fit": FIT}},
            "evaluation": {"bootstrap": 100},
            "promotion": {"min_rows": 10},
            "engine": {"device": "cpu"},
        }
    )


def built(table: pd.DataFrame, folder: Path, **data: Any) -> BuiltModel:
    folder.mkdir(parents=True)
    table.to_csv(folder / "visits.csv", index=False)
    return build_model(pipeline(**data), folder, folder)


def learned_by(model: BuiltModel, column: str) -> set[str]:
    """Cells of the rows that a model has learned from, read from what it was built from."""
    samples = open_samples_table(model.dataset).rows(["facts"], values=True)
    if column == "group":
        samples["group"] = open_samples_table(model.dataset).groups()["group"]
    return set(samples.loc[samples["split"] != "test", column])


def known_to(model: BuiltModel, challenger: BuiltModel) -> tuple[HeldOutRows, np.ndarray]:
    table, folder = open_samples_table(challenger.dataset), challenger.folder
    held_out = HeldOutRows(table, challenger.dataset, challenger.config, folder / "data", folder)
    known = rows_of(load_bundle(model.bundle), read_learned(model.bundle), held_out).known
    assert known is not None
    return held_out, known


def versus(challenger: BuiltModel, champion: BuiltModel, **rule: Any) -> Verdict:
    config = challenger.config
    config = config.model_copy(update={"promotion": config.promotion.model_copy(update=rule)})
    rivals = Rival(challenger.bundle, "version 2"), Rival(champion.bundle, "version 1")
    return compare(challenger.dataset, *rivals, config, challenger.folder / "data", challenger.folder)


@pytest.mark.parametrize(
    ("data", "column"),
    [({}, "id"), ({"split": {"group": "person"}}, "group"), ({"id": None}, "facts.x")],
)
def test_a_champion_knows_no_test_row_of_a_table_that_grew(
    tmp_path: Path, data: dict[str, Any], column: str
) -> None:
    champion = built(visits(400), tmp_path / "before", **data)
    grown = visits(600).sample(frac=1, random_state=0)  # new rows everywhere, so that numbers mean nothing
    challenger = built(grown, tmp_path / "after", **data)
    held_out, known = known_to(champion, challenger)
    cells = held_out.groups("person") if column == "group" else held_out.samples[column]
    assert not set(cells) & learned_by(champion, column)
    assert not known.any()
    verdict = versus(challenger, champion)
    assert not verdict.undecided
    assert f"on the same {len(known)} test rows" in verdict.reason


@pytest.mark.parametrize(
    ("data", "is_better"),
    [
        ({"split": {"stratify": True}}, True),
        ({"split": {"group": "person"}}, True),
        ({"split": {"group": "person"}}, False),
        ({"id": None}, True),
    ],
)
def test_the_verdict_of_a_table_that_grew_is_that_of_rows_that_nobody_knows(
    tmp_path: Path, data: dict[str, Any], is_better: bool
) -> None:
    # A quarter more rows, in another order, and another seed of the training.
    later = visits(2000)
    later["lab"] = np.random.default_rng(1).normal(later["ill"] * 3.0, 1)

    def trained(table: pd.DataFrame, name: str, columns: list[str], seed: int) -> BuiltModel:
        folder = tmp_path / name
        folder.mkdir()
        table.to_csv(folder / "visits.csv", index=False)
        section = pipeline(**data).model_dump(mode="json", exclude_unset=True)
        section["inputs"]["facts"]["columns"] = columns
        section["inputs"]["facts"]["fit"] = {"epochs": 12, "batch_size": 32, "learning_rate": 0.02}
        return build_model(PipelineConfig.model_validate({**section, "seed": seed}), folder, folder)

    champion = trained(later.head(800), "before", ["x"], 0)
    columns = ["x", "lab"] if is_better else ["x"]
    challenger = trained(later.head(1000).sample(frac=1, random_state=0), "after", columns, 1)
    held_out, known = known_to(champion, challenger)
    column = "id" if data.get("id", "id") else "facts.x"
    fresh = set(held_out.samples.loc[~known, column])
    for model in (champion, challenger):  # with a further column and without ids a row is another one
        assert not fresh & learned_by(model, column)
    verdict = versus(challenger, champion, max_subset_loss=None, max_calibration_loss=None)
    assert not verdict.undecided

    unseen = later.tail(1000)
    right = [
        Predictor(model.bundle, "cpu").predict(unseen)["label"].to_numpy()
        == unseen["ill"].astype(str).str.lower()
        for model in (challenger, champion)
    ]
    gain = float(right[0].mean() - right[1].mean())
    assert verdict.promote == is_better == (gain > 0.1)
    assert verdict.gain is not None
    assert verdict.gain.low - 0.05 < gain < verdict.gain.high + 0.05


def test_as_time_goes_on_models_meet_on_rows_that_are_new_to_both(tmp_path: Path) -> None:
    table = visits(700).assign(day=[str(day.date()) for day in pd.date_range("2025-01-01", periods=700)])
    data = {"time": "day", "split": {"by": "time", "val": "40d", "test": "100d", "gap": "5d"}}
    champion = built(table.head(400), tmp_path / "before", **data)
    challenger = built(table.head(430), tmp_path / "after", **data)
    held_out, known = known_to(champion, challenger)
    assert held_out.samples["id"].tolist() == [f"v{row}" for row in range(330, 430)]
    assert not known.any()
    assert challenger.dataset.left_out == {"gap": 10}
    verdict = versus(challenger, champion)
    assert not verdict.undecided
    assert "on the same 100 test rows" in verdict.reason

    # A longer test reaches back to rows that the champion has learned from, and these do not count.
    split = {"by": "time", "val": "40d", "test": "200d"}
    challenger = built(table.head(430), tmp_path / "longer", time="day", split=split)
    _, known = known_to(champion, challenger)
    assert known.sum() == 20 + 40  # of training and validation; the champion's gaps are new to it
    assert "version 1 has learned from 60 of them" in versus(challenger, champion).reason


def test_another_seed_of_training_leaves_the_split(tmp_path: Path) -> None:
    visits(300).to_csv(tmp_path / "visits.csv", index=False)
    datasets = [
        ingest(pipeline().model_copy(update={"seed": seed}), tmp_path / str(seed), tmp_path)
        for seed in (0, 1)
    ]
    assert datasets[0].digest == datasets[1].digest


@pytest.mark.parametrize(
    ("before", "after", "column"),
    [
        ({}, {"split": {"seed": 1}}, "id"),
        ({}, {"split": {"test": 0.5}}, "id"),
        ({}, {"split": {"group": "person"}}, "id"),
        ({"split": {"group": "person"}}, {"split": {"group": "site"}}, "person"),
        ({"split": {"group": "person"}}, {}, "person"),
        ({"id": None}, {}, "x"),
        ({}, {"id": None}, "x"),
    ],
)
def test_rows_that_the_champion_knows_are_left_out(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any], column: str
) -> None:
    champion = built(visits(400), tmp_path / "before", **before)
    challenger = built(visits(500), tmp_path / "after", **after)
    held_out, known = known_to(champion, challenger)
    of_column = {"id": "id", "x": "facts.x", "person": "group"}[column]
    cells = held_out.groups("person") if column == "person" else held_out.samples[of_column]
    expected = np.isin(np.array(cells, object), list(learned_by(champion, of_column)))
    assert expected.any()
    assert (known == expected).all()
    verdict = versus(challenger, champion)
    left = len(known) - known.sum()
    assert verdict.undecided == (left < 10)
    assert f"{left} of {len(known)} test rows can be compared" in verdict.reason
    assert versus(challenger, champion, min_rows=10_000).undecided


def test_rows_under_new_ids_are_known_by_their_contents(tmp_path: Path) -> None:
    champion = built(visits(300), tmp_path / "before")
    renamed = visits(300).assign(id=[f"n{row}" for row in range(300)])
    held_out, known = known_to(champion, built(renamed, tmp_path / "after"))
    assert (known == held_out.samples["facts.x"].isin(learned_by(champion, "facts.x"))).all()
    assert known.sum() > 20


def test_alike_rows_of_a_small_table_are_no_acquaintances_where_they_have_ids(tmp_path: Path) -> None:
    table = visits(300).assign(x=[row % 7 for row in range(300)])
    champion = built(table, tmp_path / "before")
    assert not known_to(champion, champion)[1].any()
    unnamed = built(table, tmp_path / "after", id=None, split={"val": 0.3, "test": 0.3})
    verdict = versus(unnamed, champion)
    assert verdict.undecided, "its rows have ids, which the table no longer has"
    assert "which of the test rows version 1 has learned from cannot be told" in verdict.reason


def test_a_model_without_a_record_is_not_compared(tmp_path: Path) -> None:
    model = built(visits(300), tmp_path / "model")
    (model.bundle / "learned.parquet").unlink()
    verdict = versus(model, model)
    assert verdict.undecided
    assert not verdict.promote


class TestDigests:
    @pytest.mark.parametrize("count", [0, 1, 1000, MOST + 1])
    def test_a_set_holds_what_it_was_given_and_hardly_anything_else(self, count: int) -> None:
        digests = np.random.default_rng(0).integers(0, 2**64, count, np.uint64)
        held = DigestSet.of(digests)
        assert held.is_filter == (count > MOST)
        assert held.words.nbytes <= 8 * MOST
        assert held.holds(digests).all()
        others = np.random.default_rng(1).integers(0, 2**64, 100_000, np.uint64)
        assert held.holds(others).mean() < 0.001

    def test_a_student_knows_the_rows_of_its_teacher(self, tmp_path: Path) -> None:
        own = LearnedRows(None, DigestSet.of([1, 2]), None, DigestSet.of([]))
        teacher = LearnedRows(DigestSet.of([3]), DigestSet.of([4]), "person", DigestSet.of([5]))
        write_learned([own, teacher], tmp_path / "learned.parquet")
        learned = read_learned(tmp_path)
        assert [each.group for each in learned] == [None, "person"]
        assert learned[0].ids is None
        assert learned[1].ids is not None
        assert learned[1].ids.words.tolist() == [3]
        assert learned[1].groups.words.tolist() == [5]

    def test_only_training_and_validation_rows_are_remembered(self, tiny: BuiltModel) -> None:
        learned = learned_rows(tiny.dataset, tiny.config)
        assert learned.ids is not None
        assert len(learned.ids.words) == tiny.dataset.splits["train"] + tiny.dataset.splits["val"]
