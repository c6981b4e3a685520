"""A run with a time limit ends with the best that it has, and says what it left out."""

from __future__ import annotations

import math
import pickle
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.config import PipelineConfig
from components.config.fusion import LateConfig
from components.errors import OutOfTimeError
from components.inference.bundle import load_bundle
from components.pipeline.budget import Budget, in_time
from components.pipeline.learners import learners_of
from components.pipeline.parts import Parts
from components.pipeline.plain import PlainSteps
from components.pipeline.run import BuiltModel, retrain, train
from components.pipeline.worth import measure_worth
from components.references import Dataset, LeftOut, Worth
from components.runtime.deadline import Allowance, Deadline, current, due, interruptible
from tests.components.conftest import configure

SMALL = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}
QUICK: dict[str, Any] = {"evaluation": {"bootstrap": 100}, "audit": {"rows": 0}, "monitoring": {"rows": 0}}


class Clock:
    """A clock that tests move by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def auto(**changes: Any) -> PipelineConfig:
    """The tiny pipeline, whose inputs choose their encoders themselves."""
    values = configure().model_dump(mode="json", exclude={"inputs", "fusion"})
    inputs = {
        "note": {"modality": "text", "columns": "note"},
        "facts": {"modality": "tabular", "columns": ["age", "city"]},
    }
    return PipelineConfig.model_validate({**values, "inputs": inputs, "fusion": {"name": "late"}, **changes})


def large(dataset: Dataset, rows: int) -> Dataset:
    """The same data as if it had more rows."""
    return replace(dataset, rows=rows, splits={**dataset.splits, "train": rows})


def labels(learners: Any) -> list[str]:
    return [each.label for each in learners]


class TestDeadline:
    def test_a_block_ends_in_the_middle_and_a_swallowed_interruption_comes_again(self) -> None:
        interruptions = []

        def library() -> None:
            with due(Allowance(time.time() + 0.05)), interruptible():
                with suppress(OutOfTimeError):
                    time.sleep(5)
                interruptions.append(time.monotonic())
                time.sleep(5)

        started = time.monotonic()
        with pytest.raises(OutOfTimeError):
            library()
        assert len(interruptions) == 1
        assert time.monotonic() - started < 4

    def test_a_block_in_time_is_left_alone_afterwards(self) -> None:
        with due(Allowance(time.time() + 0.05)), interruptible():
            pass
        time.sleep(0.1)
        assert current() is None

    def test_the_shorter_of_share_and_moment_counts(self) -> None:
        assert Allowance(time.time() + 100, seconds=5).begin().left() == pytest.approx(5, abs=0.5)
        assert Allowance(time.time() + 5, seconds=100).begin().left() == pytest.approx(5, abs=0.5)

    def test_a_deadline_keeps_its_moment_on_the_way_to_another_process(self) -> None:
        assert pickle.loads(pickle.dumps(Deadline(50))).left() == pytest.approx(50, abs=0.5)

    def test_a_step_without_time_or_with_an_argument_that_was_left_out_is_left_out(self) -> None:
        passed = Allowance(time.time() - 1)
        late = in_time("extract", passed, lambda: 3, [], in_epochs=False)
        assert late == LeftOut("extract", "there was no time for it")
        soon = Allowance(time.time() + 60)
        assert in_time("probe", soon, lambda *_: 3, [1, {"a": late}], in_epochs=False) == late
        assert in_time("probe", soon, lambda *_: 3, [1, {"a": 2}], in_epochs=False) == 3


class TestBudget:
    def test_without_a_limit_nothing_ends_and_nothing_is_left_out(self, tiny: BuiltModel) -> None:
        budget, config = Budget(configure(), 0.0, 2), configure()
        learners = learners_of(config, tiny.dataset)
        assert budget.rounds(config, tiny.dataset, learners) == [learners]
        assert budget.admitted(config, tiny.dataset, learners, is_first=False) == learners
        assert budget.until(5.0) is budget.optional() is None
        assert budget.folds_in_time(config, tiny.dataset, learners) is config
        assert budget.left_out == []

    def test_the_time_ends_in_order_and_keeps_a_reserve(self, tiny: BuiltModel) -> None:
        clock = Clock()
        config = configure(time_limit="10m")
        budget = Budget(config, clock.seconds, 2, clock)
        learners, training = budget.learners_end(config, tiny.dataset), budget.training_ends(tiny.dataset)
        optional = budget.optional()
        assert optional is not None
        assert clock.seconds < learners < training < optional.ends < clock.seconds + 600
        assert training <= clock.seconds + 580
        short = Budget(configure(time_limit="20s"), clock.seconds, 2, clock)
        assert short.training_ends(tiny.dataset) == pytest.approx(clock.seconds + 14)

    def test_a_resumed_run_gets_what_is_left_and_at_least_a_quarter(self, tiny: BuiltModel) -> None:
        clock = Clock()
        config = configure(time_limit="100s")
        ends = [Budget(config, clock.seconds - spent, 2, clock)._ends for spent in (0, 40, 99, 500)]
        assert ends == [1100, 1060, 1025, 1025]

    def test_cheap_learners_come_first_and_one_of_each_input_is_always_tried(self, tiny: BuiltModel) -> None:
        clock, config = Clock(), auto(time_limit="2m")
        dataset = large(tiny.dataset, 20_000)
        budget = Budget(config, clock.seconds, 2, clock)
        learners = learners_of(config, dataset)
        first, *later = budget.rounds(config, dataset, learners)
        assert labels(first) == ["note tfidf", "facts linear"]
        assert len(later) >= 1
        assert sorted(labels(learners)) == sorted(label for part in [first, *later] for label in labels(part))
        clock.seconds += 1000
        assert budget.admitted(config, dataset, first, is_first=True) == first
        assert budget.admitted(config, dataset, later[0], is_first=False) == []
        assert {each.step for each in budget.left_out} == set(labels(later[0]))
        assert all("were left" in each.reason for each in budget.left_out)

    def test_a_slow_machine_admits_less(self, tiny: BuiltModel) -> None:
        clock, config = Clock(), auto(time_limit="10m")
        dataset = large(tiny.dataset, 20_000)
        budget = Budget(config, clock.seconds, 1, clock)
        first, second, *_ = budget.rounds(config, dataset, learners_of(config, dataset))
        assert budget.admitted(config, dataset, second, is_first=False) == second
        budget.measure(config, dataset, first, 3000.0)
        assert budget.admitted(config, dataset, second, is_first=False) != second

    def test_few_seconds_mean_few_folds_but_never_against_the_file(self, tiny: BuiltModel) -> None:
        clock = Clock()
        config = configure(time_limit="60s", training={"epochs": 3})
        learners = learners_of(config, tiny.dataset)
        small = Budget(config, clock.seconds, 2, clock)
        assert small.folds_in_time(config, tiny.dataset, learners) == config
        dataset = large(tiny.dataset, 20_000)
        less = small.folds_in_time(config, dataset, learners)
        assert less.training.folds == 0
        assert [each.step for each in small.left_out] == ["folds"]
        fixed = configure(time_limit="60s", training={"epochs": 3, "folds": 4})
        assert small.folds_in_time(fixed, dataset, learners) is fixed

    def test_a_share_leaves_time_for_the_folds(self, tiny: BuiltModel) -> None:
        clock, config = Clock(), configure(time_limit="100s")
        budget = Budget(config, clock.seconds, 2, clock)
        learners = learners_of(config, tiny.dataset)
        assert budget.share(learners, 3, clock.seconds + 60) == pytest.approx(0.8 * 60 * 2 / (3 * 4))
        assert budget.share(learners, 0, clock.seconds + 60) == pytest.approx(0.8 * 40)

    def test_an_input_that_adds_nothing_gets_no_further_learner(self, tiny: BuiltModel) -> None:
        config = auto()
        budget = Budget(config, 0.0, 2)
        learners = learners_of(config, tiny.dataset)
        assert budget.chooses_by_worth(config, learners)
        _, later = budget.rounds(config, tiny.dataset, learners)
        redundant = {"note": Worth(True, True), "facts": Worth(adds=False, says_something=True)}
        assert budget.worthwhile(config, later, redundant) == later
        useless = {"note": Worth(True, True), "facts": Worth(adds=False, says_something=False)}
        assert {each.input for each in budget.worthwhile(config, later, useless)} == {"note"}
        assert all("facts adds nothing" in each.reason for each in budget.left_out)
        fast = Budget(auto(quality="fast"), 0.0, 2)
        assert {e.input for e in fast.worthwhile(auto(quality="fast"), later, redundant)} == {"note"}

    @pytest.mark.parametrize("changes", [{"quality": "best"}, {"fusion": {"name": "gated"}}])
    def test_best_and_fusions_that_learn_from_embeddings_try_every_learner(
        self, tiny: BuiltModel, changes: dict[str, Any]
    ) -> None:
        config = auto(**changes)
        assert not Budget(config, 0.0, 2).chooses_by_worth(config, learners_of(config, tiny.dataset))

    def test_a_learner_counts_with_all_its_folds(self, tiny: BuiltModel) -> None:
        config = configure(time_limit="10m")
        learners = learners_of(config, tiny.dataset)
        late = LeftOut("cross_fit", "it was stopped in the middle")
        whole = replace(tiny, unseen={**tiny.unseen, "photo": late})
        budget = Budget(config, 0.0, 2)
        later = budget.settled(parts_of(whole), learners, config, is_first=False)
        assert set(later.singles) == {"note", "facts"}
        assert set(later.unseen) == {"note", "facts"}
        first = budget.settled(parts_of(whole), learners, config, is_first=True)
        assert set(first.singles) == {"photo", "note", "facts"}
        assert first.unseen == {}
        assert isinstance(first.config.fusion, LateConfig)
        assert first.config.training.folds == 0

    def test_an_input_without_a_learner_leaves_the_pipeline(self, tiny: BuiltModel) -> None:
        config = configure(time_limit="10m")
        learners = learners_of(config, tiny.dataset)
        late = LeftOut("extract", "it was stopped in the middle")
        parts = replace(parts_of(tiny), features={**tiny.features, "photo": late})
        budget = Budget(config, 0.0, 2)
        settled = budget.settled(parts, learners, config, is_first=True)
        assert list(settled.config.inputs) == ["note", "facts"]
        assert set(settled.prepared) == set(settled.unseen) == {"note", "facts"}
        assert [each.step for each in budget.left_out] == ["photo"]
        nothing = replace(parts_of(tiny), features=dict.fromkeys(tiny.features, late))
        with pytest.raises(OutOfTimeError, match="10m is too short for any encoder of photo, note, facts"):
            Budget(config, 0.0, 2).settled(nothing, learners, config, is_first=True)


def parts_of(model: BuiltModel) -> Parts:
    names = Parts.__dataclass_fields__
    return Parts(**{name: value for name, value in vars(model).items() if name in names})


def test_worth_tells_an_input_of_noise_from_one_that_says_something(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(["ant", "bee"], 900)
    table = pd.DataFrame(
        {
            "id": range(900),
            "label": kind,
            "note": [f"{word} {number}" for number, word in enumerate(kind)],
            "noise": rng.normal(size=900).round(3),
            "split": np.repeat(["train", "val", "test"], 300),
        }
    )
    table.to_csv(tmp_path / "rows.csv", index=False)
    config = auto(
        inputs={
            "note": {"modality": "text", "columns": "note", "encoder": "tfidf"},
            "facts": {"modality": "tabular", "columns": ["noise"], "encoder": "linear"},
        },
        training={"folds": 2},
    )
    steps = PlainSteps(config, tmp_path / "work", tmp_path)
    parts = train(steps, config, steps.ingest())
    worths = measure_worth(parts.dataset, parts.features, parts.singles, parts.unseen)
    assert worths["note"] == Worth(adds=True, says_something=True)
    assert not worths["facts"].adds


def test_a_training_that_its_deadline_ends_is_not_taken_for_a_whole_one(
    tiny_data: Path, tmp_path: Path
) -> None:
    values = configure().model_dump(mode="json")
    note = {**values["inputs"]["note"], "fit": {**SMALL, "epochs": 400, "patience": None}}
    data = {**values["data"], "max_bad": 0.2}  # some rows have no note
    config = PipelineConfig.model_validate({**values, "data": data, "inputs": {"note": note}})
    steps = PlainSteps(config, tmp_path, tiny_data)
    dataset = steps.ingest()
    (learner,) = learners_of(config, dataset)
    prepared = steps.preprocess(dataset, learner)

    def fitted(seconds: float) -> Any:
        return steps.within(Allowance(time.time() + seconds)).fit(dataset, prepared, learner, None)

    started = time.monotonic()
    cut = fitted(0.4)
    assert time.monotonic() - started < 5
    assert not cut.training.is_complete
    assert 0 < cut.training.epochs < 400
    weights = Path(cut.head).read_bytes()
    more = fitted(0.4)
    assert more.training.epochs > cut.training.epochs, "it goes on behind the last epoch"
    assert Path(cut.head).read_bytes() == weights, "what the first has given stays as it is"
    without_time = fitted(-1)
    assert isinstance(without_time, LeftOut) or not without_time.training.is_complete


def test_a_limited_run_delivers_in_time_and_says_what_it_left_out(tiny_data: Path, tmp_path: Path) -> None:
    """The whole limit is kept with the stated overshoot, by trainings that would take minutes."""
    slow = {**SMALL, "epochs": 100_000, "patience": None}
    values = configure().model_dump(mode="json", exclude={"evaluation", "training"})
    inputs = {name: {**section, "fit": slow} for name, section in values["inputs"].items()}
    config = PipelineConfig.model_validate(
        {**values, "inputs": inputs, "training": slow, "time_limit": "15s", **QUICK}
    )
    steps = PlainSteps(config, tmp_path, tiny_data)
    started = time.monotonic()
    result = retrain(steps, config, steps.ingest())
    assert time.monotonic() - started < 15 * 1.1 + 20
    assert result.left_out
    assert {each.step for each in result.left_out} <= {"photo", "note", "facts", "folds", "fusion"}
    assert "the training ended after" in " ".join(each.sentence for each in result.missing)
    assert result.report is not None
    page = Path(result.report).read_text("utf-8")
    assert all(each.reason in page for each in result.left_out[:1])
    bundle = load_bundle(steps.bundle)
    assert set(bundle.inputs) == set(result.parts.config.inputs)
    assert math.isfinite(result.evaluation.evaluations[0].delivered.test["accuracy"].value)


def test_without_time_for_a_joint_training_the_inputs_are_pooled(tiny_data: Path, tmp_path: Path) -> None:
    config = configure(strategy="joint", time_limit="1h", **QUICK)
    steps = NoTimeFor("joint", config, tmp_path, tiny_data)
    budget = Budget(config, time.time(), 1)
    parts = train(steps, config, steps.ingest(), budget)
    assert (parts.config.strategy, parts.config.fusion.name) == ("staged", "late")
    assert parts.fused is not None
    assert not parts.fused.joint
    assert [each.step for each in budget.left_out] == ["joint"]


def test_without_time_for_a_trained_fusion_the_inputs_are_pooled(tiny: BuiltModel, tiny_data: Path) -> None:
    config = configure(time_limit="1h", **QUICK)
    steps = NoTimeFor("fuse", config, tiny.folder, tiny_data)
    budget = Budget(config, time.time(), 1)
    parts = train(steps, config, steps.ingest(), budget)
    assert parts.config.fusion.name == "late"
    assert parts.fused is not None
    assert parts.fused_folds == []
    assert set(parts.unseen) == set(config.inputs), "pooling learns out of fold"
    assert "fusion" in {each.step for each in budget.left_out}


class NoTimeFor(PlainSteps):
    """Steps of which one has no time, where it has a limit."""

    def __init__(self, step: str, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.step = step

    def within(self, allowance: Allowance | None) -> PlainSteps:
        timed = super().within(allowance)
        setattr(timed, self.step, lambda *_: LeftOut(self.step, "there was no time for it"))
        return timed
