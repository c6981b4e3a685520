"""Studies: proposals that repeat, nothing twice, and going on after a kill at any point."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from components.config import ConfigError
from components.config.sweep import SpaceConfig
from components.references import Trained
from components.sweep.plan import Trial
from components.sweep.study import Study, open_storage
from components.sweep.trial import Pruner, TrialResult
from components.training.checkpoint import Epoch

SPACE = {
    "fusion.width": SpaceConfig(low=8, high=64, step=8),
    "training.learning_rate": SpaceConfig(low=1e-4, high=1e-1, log=True),
    "fusion.heads": SpaceConfig(choices=[2, 4]),
}


def study(file: Path, **changes: Any) -> Study:
    options: dict[str, Any] = {
        "fusion": "concat",
        "seed": 0,
        "metric": "accuracy",
        "space": SPACE,
        "trials": 6,
        "batch": 1,
        "check": lambda trial: None,
    }
    return Study(open_storage(file), "tiny/0/concat", **{**options, **changes})


def outcome(trial: Trial) -> TrialResult:
    """The better, the nearer the learning rate is to 0.01."""
    rate = trial.params.get("training.learning_rate", 1.0)
    value = 1 - abs(math.log10(rate) + 2) / 4
    trained = Trained("fusion", "folder", 2, 1, value, 10)
    return TrialResult("finished", (value / 2, value), value, 1 - value, 0.1, trained)


def run(each: Study, most: int = 100) -> None:
    """Run until the end, or until so many trials have been told."""
    while asked := each.ask():
        for trial in asked:
            if most == 0:
                return
            each.tell(trial, outcome(trial))
            most -= 1


def params(each: Study) -> list[dict[str, Any]]:
    return sorted((trial.params for trial, _ in each.results()), key=repr)


def test_the_first_trial_is_that_of_the_defaults_and_others_stay_within_the_space(tmp_path: Path) -> None:
    each = study(tmp_path / "s.db")
    assert [trial.params for trial in each.ask()] == [{}]
    run(each)
    searched = [trial.params for trial, _ in each.results() if trial.params]
    assert len(searched) == 6
    for params in searched:
        assert set(params) == {"fusion.width", "training.learning_rate"}, "concat has no heads"
        assert params["fusion.width"] in range(8, 65, 8)
        assert 1e-4 <= params["training.learning_rate"] <= 1e-1
    best = each.best()
    assert best is not None
    assert best[1].metric == max(result.metric for _, result in each.results())


def test_nothing_is_searched_where_the_fusion_has_no_such_option(tmp_path: Path) -> None:
    each = study(tmp_path / "s.db", fusion="late")
    run(each)
    assert params(each) == [{}]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, Any]]]:
    """Options of the trials of whole studies, by the number of trials that are asked for at once."""
    folder, result = tmp_path_factory.mktemp("whole"), {}
    for batch in (1, 2):
        whole = study(folder / f"{batch}.db", batch=batch)
        run(whole)
        result[batch] = params(whole)
    return result


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("finished", [0, 1, 2, 4])
def test_a_study_that_was_cut_off_ends_in_the_same_trials(
    tmp_path: Path, finished: int, batch: int, undisturbed: dict[int, list[dict[str, Any]]]
) -> None:
    cut = study(tmp_path / "cut.db", batch=batch)
    run(cut, most=finished)  # leaves what was asked and not told running
    again = study(tmp_path / "cut.db", batch=batch)
    run(again)
    assert params(again) == undisturbed[batch]
    assert len(again._asked()) == 7, "a running trial is gone on with, not asked anew"


def test_a_trial_cut_off_before_its_options_were_drawn_is_completed(
    tmp_path: Path, undisturbed: dict[int, list[dict[str, Any]]]
) -> None:
    cut = study(tmp_path / "cut.db")
    run(cut, most=2)
    half = study(tmp_path / "half.db")
    for trial, result in cut.results():
        half.ask()
        half.tell(trial, result)
    half._study.ask()  # what a kill inside of ask() leaves
    run(half)
    assert params(half) == undisturbed[1]


def test_no_options_are_tried_twice(tmp_path: Path) -> None:
    space = {"fusion.width": SpaceConfig(choices=[8, 16])}
    each = study(tmp_path / "s.db", space=space, trials=8, batch=3)
    seen = []
    while asked := each.ask():
        for trial in asked:
            seen.append(trial.digest)
            each.tell(trial, outcome(trial))
    assert len(seen) == len(set(seen)) == 3  # the defaults and two widths
    assert len(each._asked()) == 9


def test_options_that_do_not_go_together_are_passed_over(tmp_path: Path) -> None:
    def check(trial: Trial) -> None:
        if trial.params.get("fusion.width", 0) > 16:
            raise ConfigError("too wide")

    each = study(tmp_path / "s.db", check=check, trials=12)
    run(each)
    assert len(each._asked()) == 13
    assert {trial.params.get("fusion.width") for trial, _ in each.results()} <= {None, 8, 16}


def test_failed_and_pruned_trials_never_win(tmp_path: Path) -> None:
    each = study(tmp_path / "s.db", trials=2)
    (first,) = each.ask()
    each.tell(first, TrialResult("failed", (), math.nan, math.nan, 0.0, note="the loss is nan"))
    assert each.best() is None
    (second,) = each.ask()
    each.tell(second, TrialResult("pruned", (0.9,), 0.9, 0.1, 0.1))
    assert each.best() is None
    (third,) = each.ask()
    each.tell(third, outcome(third))
    best = each.best()
    assert best is not None
    assert best[0] == third
    assert each.ask() == []


def test_a_trial_below_the_median_of_earlier_ones_is_pruned_after_the_warm_up() -> None:
    good = [[0.5, 0.7, 0.8, 0.9]] * 4

    def pruned_at(values: list[float], earlier: list[list[float]]) -> int | None:
        pruner = Pruner("accuracy", earlier, epochs=4)
        for number, value in enumerate(values):
            if pruner(Epoch(number, 1.0, 1.0, value, 0.1, 0.0)):
                return number
        return None

    assert pruned_at([0.1, 0.2, 0.2, 0.2], good) == 1
    assert pruned_at([0.6, 0.8, 0.9, 0.95], good) is None
    assert pruned_at([0.1, 0.2, 0.2, 0.2], good[:3]) is None, "too few to compare with"
