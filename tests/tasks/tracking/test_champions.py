"""The champion: moves, walks back, and two that finish together. On a real SQLite store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from components.config import TrackingConfig, load_tracking
from components.errors import ModelError
from components.promotion.budget import Budget
from components.promotion.verdict import Verdict
from flows.workers import forkserver
from tasks.promote import EVIDENCE, promote_version
from tasks.tracking import champions, registry
from tasks.tracking import runs as tracking
from tasks.tracking.registry import Version
from tests.forks import at_once


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace; tests share its database and take a model each."""
    forkserver.begin()  # a fork cannot open a SQLite database that this process has open
    return tmp_path_factory.mktemp("champions")


@pytest.fixture
def at(store: Path) -> TrackingConfig:
    return load_tracking(None, store)


@pytest.fixture
def client(at: TrackingConfig) -> MlflowClient:
    return tracking.connect(at)


@pytest.fixture
def model(at: TrackingConfig, client: MlflowClient, request: pytest.FixtureRequest) -> list[Version]:
    """A registered model of four versions, each of a run of its own."""
    name = request.node.name
    client.create_registered_model(name)
    made = []
    for number in range(4):
        run = tracking.start_run(at, f"{name}-{number}", f"{name}-{number}", {})
        version = client.create_model_version(name, f"runs:/{run}/model", run).version
        made.append(Version(name, str(version), run))
    return made


def champion(at: TrackingConfig, name: str) -> str | None:
    result = registry.champion(at, name)
    return None if result is None else result.version


def test_what_comparisons_have_left_is_kept_with_the_name(
    at: TrackingConfig, client: MlflowClient, model: list[Version]
) -> None:
    name = model[0].name
    assert champions.budget(at, name) is None
    left = Budget().compare(np.arange(5000, dtype=np.uint64) << np.uint64(50), "version 2 and version 1")
    champions.record_budget(at, name, left)
    assert champions.budget(at, name) == left
    tags = client.get_registered_model(name).tags
    assert (tags["braid.budget.left"], tags["braid.budget.comparisons"]) == ("95%", "1")


class TestRollback:
    def test_said_again_it_walks_further_back(
        self, at: TrackingConfig, store: Path, client: MlflowClient, model: list[Version]
    ) -> None:
        name = model[0].name
        for version in model[:3]:
            champions.crown(at, store, version, "better")
        assert champions.history(at, name) == ["1", "2", "3"]
        moved = champions.roll_back(at, store, name, "answers late")
        assert (moved.before, moved.champion) == ("3", "2")
        assert champion(at, name) == "2"
        assert champions.roll_back(at, store, name).champion == "1"
        with pytest.raises(ModelError, match="version 1 is champion, and no champion before it is known"):
            champions.roll_back(at, store, name)
        assert champion(at, name) == "1"
        tags = client.get_model_version(name, "3").tags
        assert tags["braid.rolled_back_why"] == "to version 2. answers late"
        assert "@" in tags["braid.rolled_back_by"]
        assert tags["braid.rolled_back_when"].startswith("20")
        assert client.get_model_version(name, "2").tags["braid.crowned_why"].startswith("rolled back from")

    def test_the_same_version_twice_is_no_circle(
        self, at: TrackingConfig, store: Path, model: list[Version]
    ) -> None:
        for version in (0, 1, 0):
            champions.crown(at, store, model[version], "forced")
        result = [champions.roll_back(at, store, model[0].name).champion for _ in range(2)]
        assert result == ["2", "1"]
        with pytest.raises(ModelError):
            champions.roll_back(at, store, model[0].name)

    def test_a_champion_that_was_set_by_hand_is_remembered(
        self, at: TrackingConfig, store: Path, client: MlflowClient, model: list[Version]
    ) -> None:
        client.set_registered_model_alias(model[0].name, "champion", "1")
        champions.crown(at, store, model[1], "better")
        client.set_registered_model_alias(model[0].name, "champion", "4")
        assert champions.roll_back(at, store, model[0].name).champion == "2"
        assert champions.roll_back(at, store, model[0].name).champion == "1"

    def test_deleted_versions_are_passed_over(
        self, at: TrackingConfig, store: Path, client: MlflowClient, model: list[Version]
    ) -> None:
        for version in model[:3]:
            champions.crown(at, store, version, "better")
        client.delete_model_version(model[0].name, "2")
        assert champions.roll_back(at, store, model[0].name).champion == "1"

    def test_an_unknown_model_is_told_with_those_there_are(
        self, at: TrackingConfig, store: Path, model: list[Version]
    ) -> None:
        with pytest.raises(ModelError, match=f"no registered model 'nobody'.*{model[0].name}"):
            champions.roll_back(at, store, "nobody")


class TestTagsOfRuns:
    """``champion`` on the MLflow runs: ``yes`` for the one, ``former`` for those before it."""

    def tags(self, client: MlflowClient, model: list[Version]) -> list[str | None]:
        return [client.get_run(version.run).data.tags.get("champion") for version in model]

    def test_they_follow_the_alias_both_ways(
        self, at: TrackingConfig, store: Path, client: MlflowClient, model: list[Version]
    ) -> None:
        champions.crown(at, store, model[0], "first")
        assert self.tags(client, model) == ["yes", None, None, None]
        champions.settle(at, store, model[2], lambda _: Verdict(True, "better"))
        assert self.tags(client, model) == ["former", None, "yes", None]
        champions.roll_back(at, store, model[0].name)
        assert self.tags(client, model) == ["yes", None, "former", None]
        tags = client.get_run(model[2].run).data.tags
        assert tags["model_version"] == f"{model[2].name}/3"

    def test_a_move_mends_what_a_hand_or_a_kill_left(
        self, at: TrackingConfig, store: Path, client: MlflowClient, model: list[Version]
    ) -> None:
        for version in (model[0], model[3]):
            client.set_tag(version.run, "champion", "yes")
            client.set_tag(version.run, "model_version", f"{version.name}/{version.version}")
        champions.crown(at, store, model[1], "better")
        assert self.tags(client, model) == ["former", "yes", None, "former"]
        client.set_tag(model[1].run, "champion", "no")
        champions.settle(at, store, model[1], lambda _: Verdict(True, "already champion"))
        assert self.tags(client, model)[1] == "yes"

    def test_other_models_keep_theirs(
        self, at: TrackingConfig, store: Path, client: MlflowClient, model: list[Version]
    ) -> None:
        other = f"{model[0].name}_other"  # begins alike
        client.set_tag(model[3].run, "champion", "yes")
        client.set_tag(model[3].run, "model_version", f"{other}/1")
        champions.crown(at, store, model[0], "first")
        assert self.tags(client, model) == ["yes", None, None, "yes"]

    def test_a_deleted_run_is_in_nobodys_way(
        self, at: TrackingConfig, store: Path, client: MlflowClient, model: list[Version]
    ) -> None:
        champions.crown(at, store, model[0], "first")
        client.delete_run(model[1].run)
        champions.crown(at, store, model[1], "better")
        assert champion(at, model[0].name) == "2"
        assert client.get_run(model[0].run).data.tags["champion"] == "former"


class TestSettle:
    def test_without_move_the_verdict_is_only_given(
        self, at: TrackingConfig, store: Path, model: list[Version]
    ) -> None:
        verdict = champions.settle(at, store, model[0], lambda _: Verdict(True, "better"), move=False)
        assert verdict.promote
        assert champion(at, model[0].name) is None
        assert champions.history(at, model[0].name) == []

    def test_a_champion_that_came_meanwhile_has_to_be_beaten_too(
        self, at: TrackingConfig, store: Path, model: list[Version]
    ) -> None:
        asked = []

        def decide(rival: Version | None) -> Verdict:
            asked.append(rival.version if rival else None)
            if len(asked) == 1:  # while this one is compared, another run ends
                champions.crown(at, store, model[3], "faster")
            return Verdict(rival is None, "better than none alone")

        assert not champions.settle(at, store, model[0], decide).promote
        assert asked == [None, "4"]
        assert champion(at, model[0].name) == "4"


def finish(
    together: Callable[[], object], at: TrackingConfig, workspace: Path, version: Version, late: float
) -> None:
    """End one of two runs, of which the higher version is the better model."""
    first = True

    def decide(rival: Version | None) -> Verdict:
        nonlocal first
        if first:
            first = False
            together()  # both have looked at the same champion
            time.sleep(late)
        return Verdict(rival is None or int(version.version) > int(rival.version), "by number")

    champions.settle(at, workspace, version, decide)


@pytest.mark.parametrize("late", ["better", "worse"])
def test_of_two_runs_that_finish_together_the_better_is_champion(
    at: TrackingConfig, store: Path, model: list[Version], late: str
) -> None:
    champions.crown(at, store, model[0], "first")
    waits = {1: 0.5 * (late == "worse"), 2: 0.5 * (late == "better")}
    at_once(finish, [(at, store, model[number], wait) for number, wait in waits.items()])
    assert champion(at, model[0].name) == "3"
    assert champions.history(at, model[0].name)[-1] == "3"


class TestPromoteVersion:
    def record(self, at: TrackingConfig, version: Version, promote: bool, rival: str) -> None:
        verdict = Verdict(promote, "as recorded", champion=f"version {rival}")
        tracking.log_text(at, version.run, verdict.to_json(), EVIDENCE)

    def test_the_record_against_the_champion_of_now_decides(
        self, at: TrackingConfig, store: Path, model: list[Version]
    ) -> None:
        name = model[0].name
        champions.crown(at, store, model[0], "first")
        self.record(at, model[1], False, "1")
        self.record(at, model[2], True, "1")
        refused = promote_version(at, store, name, "2")
        assert refused.moved is None
        assert refused.evidence is not None
        assert refused.evidence.source == "recorded"
        assert champion(at, name) == "1"
        assert promote_version(at, store, name, "3").moved is not None
        assert champion(at, name) == "3"

    def test_a_record_against_another_champion_does_not(
        self, at: TrackingConfig, store: Path, model: list[Version]
    ) -> None:
        champions.crown(at, store, model[3], "first")
        self.record(at, model[1], True, "1")
        with pytest.raises(ModelError, match=r"was not compared with version 4.*no recipe.*--force"):
            promote_version(at, store, model[0].name, "2")
        assert champion(at, model[0].name) == "4"

    def test_force_asks_nobody_and_signs(
        self, at: TrackingConfig, store: Path, client: MlflowClient, model: list[Version]
    ) -> None:
        name = model[0].name
        champions.crown(at, store, model[0], "first")
        moved = promote_version(at, store, name, "2", force=True, why="the law").moved
        assert moved is not None
        assert (moved.before, moved.champion) == ("1", "2")
        assert client.get_model_version(name, "2").tags["braid.crowned_why"] == "forced: the law"
        again = promote_version(at, store, name, "2", force=True).moved
        assert again is not None
        assert again.reason == "already champion"
        assert json.loads(client.get_registered_model(name).tags[champions.HISTORY]) == ["1", "2"]

    def test_an_unknown_version_is_told_with_those_there_are(
        self, at: TrackingConfig, store: Path, model: list[Version]
    ) -> None:
        with pytest.raises(ModelError, match=r"has no version '9' \(versions: 1, 2, 3, 4"):
            promote_version(at, store, model[0].name, "9")
