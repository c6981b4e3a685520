"""Generator functions on one worker of a cluster: trials of a sweep among them."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from components.engine import open_engine
from components.errors import ModelError
from components.pipeline.follow import follow
from components.sweep.trial import Pruner, begin_trial
from tests.components.conftest import BuiltModel, finish
from tests.components.engine.conftest import Machines

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.mark.parametrize("pruned", [False, True], ids=["to the end", "pruned"])
def test_a_trial_comes_to_the_same_as_here(
    machines: Machines, tiny: BuiltModel, tmp_path: Path, pruned: bool
) -> None:
    training = tiny.config.training.model_copy(update={"epochs": 8})
    config = tiny.config.model_copy(update={"training": training})
    earlier = [(2.0,) * 8] * 5  # nobody keeps up with an accuracy above 1
    results = []
    for each, folder in ((config, "here"), (machines.ask(config), "there")):
        pruner = Pruner("accuracy", earlier, 8) if pruned else None
        steps = begin_trial(
            tiny.dataset, tiny.features, tiny.singles, tiny.unseen, each, tmp_path / folder, pruner
        )
        results.append(finish(steps))
    local, remote = results
    assert local.status == remote.status == ("pruned" if pruned else "finished")
    assert remote.history == local.history
    assert (remote.metric, remote.loss) == (local.metric, local.loss)
    assert len(local.history) < 8 if pruned else remote.training is not None


def test_a_step_whose_worker_is_lost_is_begun_again(machines: Machines, tmp_path: Path) -> None:
    done = tmp_path / "done"

    def count() -> Generator[int, None, str]:
        for number in range(4):
            with done.open("a") as file:
                file.write(f"{number}\n")
            yield number
            if number == 1 and done.read_text().count("1\n") == 1:
                os._exit(9)
            time.sleep(0.1)
        return "all"

    steps = open_engine(machines.engine).steps(count)
    seen: list[int] = []
    assert follow(steps, seen.append) == "all"
    assert seen == [0, 1, 2, 3], "each is told once"
    assert done.read_text().split() == ["0", "1", "0", "1", "2", "3"]


def test_an_error_of_ours_comes_through_as_it_is(machines: Machines) -> None:
    def refuse() -> Generator[int, None, None]:
        yield 1
        raise ModelError("weights: not there")

    steps = open_engine(machines.engine).steps(refuse)
    assert next(steps) == 1
    with pytest.raises(ModelError) as caught:
        next(steps)
    assert (type(caught.value), str(caught.value)) == (ModelError, "weights: not there")
