"""Champion and those before it: the alias moves by compare-and-set, and back step by step.

A tag of the registered model lists its champions, the newest last. After a move of the alias by hand, or a
kill between two writes, the tag lacks the champion of the alias; the next move mends it. The champion's
MLflow run is tagged ``champion: yes``, the runs of those before it ``former``.
"""

import getpass
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.config import TrackingConfig
from components.errors import ModelError
from components.promotion.budget import Budget
from components.promotion.verdict import Verdict
from components.storage.digest import digest
from tasks.tracking import registry, runs
from tasks.tracking.registry import CHAMPION, Version
from tasks.tracking.runs import CHAMPION_TAG

HISTORY = "braid.champions"
BUDGET = "braid.budget"
_KEPT = 100  # champions in the history; MLflow takes some thousand characters in a tag


@dataclass(frozen=True)
class Moved:
    """Move of the alias by a command.

    Attributes:
        name: Name of the registered model.
        before: Version that was champion; None if there was none.
        champion: Version that is champion now.
        reason: Reason, for the record.
    """

    name: str
    before: str | None
    champion: str
    reason: str


def settle(
    at: TrackingConfig,
    workspace: Path,
    version: Version,
    decide: Callable[[Version | None], Verdict],
    move: bool = True,
    why: str = "",
) -> Verdict:
    """Compare with the champion, until none has changed by the time that the alias moves.

    A comparison takes minutes, so it holds no lock. If the champion changed meanwhile, the challenger is
    compared again, with the new one: of two runs that finish together, the second has to beat the first.
    Among processes that share the workspace the lock makes the last look and the move one step. MLflow has no
    conditional write, so among machines with workspaces of their own some milliseconds remain.

    Args:
        at: Settings of MLflow.
        workspace: Folder of the lock.
        version: The challenger.
        decide: Gives the verdict against a champion; None stands for no champion.
        move: True to move the alias; otherwise only the verdict is returned.
        why: Somebody's own reason, for the record.
    """
    while True:
        champion = registry.champion(at, version.name)
        verdict = decide(champion)
        if not move or not verdict.promote:
            return verdict
        if champion == version:
            _tag_runs(at, version)  # mends what a kill left
            return verdict
        with _locked(at, workspace, version.name):
            if registry.champion(at, version.name) == champion:
                _crown(at, version, champion, f"{why}: {verdict.reason}" if why else verdict.reason)
                return verdict


def crown(at: TrackingConfig, workspace: Path, version: Version, reason: str) -> Moved:
    """Make a version champion, whichever was; if it is champion already, nothing is written."""
    with _locked(at, workspace, version.name):
        before = registry.champion(at, version.name)
        if before == version:
            return Moved(version.name, version.version, version.version, "already champion")
        _crown(at, version, before, reason)
        return Moved(version.name, before.version if before else None, version.version, reason)


def roll_back(at: TrackingConfig, workspace: Path, name: str, reason: str = "") -> Moved:
    """Make the champion before the present one champion again; deleted versions are skipped.

    Args:
        at: Settings of MLflow.
        workspace: Folder of the lock.
        name: Name of the registered model.
        reason: Reason, for the record.

    Raises:
        ModelError: If there is no such model, or no champion before this one.
    """
    client = runs.connect(at)
    with _locked(at, workspace, name):
        current = registry.champion(at, name)
        past = [*history(at, name)]
        if current is not None:
            past = _with(past, current)[:-1]
        deleted = []
        before = None
        while past and (before := registry.find(at, f"models:/{name}/{past[-1]}")) is None:
            deleted.append(past.pop())
        if before is None:
            gone = f" (deleted: {', '.join(deleted)})" if deleted else ""
            state = f"version {current.version} is champion" if current else "there is no champion"
            raise ModelError(
                f"{name}: {state}, and no champion before it is known{gone}. `braid promote {name} VERSION` "
                "chooses one."
            )
        step = f"rolled back from version {current.version}" if current else "rolled back"
        record = f"{step}: {reason}" if reason else step
        client.set_registered_model_tag(name, HISTORY, json.dumps(past))  # first: a kill leaves it mendable
        client.set_registered_model_alias(name, CHAMPION, past[-1])
        _tag_runs(at, before)
        _sign(client, name, past[-1], "crowned", record)
        if current is not None:
            _sign(client, name, current.version, "rolled_back", f"to version {past[-1]}. {reason}".strip())
        return Moved(name, current.version if current else None, past[-1], record)


def budget(at: TrackingConfig, name: str) -> Budget | None:
    """Read what comparisons have left of the error of a registered model; None before the first."""
    written = runs.connect(at).get_registered_model(name).tags.get(BUDGET)
    return None if written is None else Budget.from_json(written)


def record_budget(at: TrackingConfig, name: str, left: Budget) -> None:
    """Write what comparisons have left; of two that end within one comparison's time, the later counts."""
    client = runs.connect(at)
    client.set_registered_model_tag(name, BUDGET, left.to_json())
    client.set_registered_model_tag(name, f"{BUDGET}.left", f"{left.left:.0%}")
    client.set_registered_model_tag(name, f"{BUDGET}.comparisons", str(round(left.comparisons)))


def history(at: TrackingConfig, name: str) -> list[str]:
    """Return the versions that have been champion and were not rolled back, the newest last.

    Raises:
        ModelError: If there is no such registered model; lists the existing ones.
    """
    client = runs.connect(at)
    try:
        tags = client.get_registered_model(name).tags
    except MlflowException as error:
        raise ModelError(f"there is no registered model {name!r} in {registry.registered(at)}") from error
    return list(json.loads(tags.get(HISTORY, "[]")))


def _crown(at: TrackingConfig, version: Version, before: Version | None, reason: str) -> None:
    client = runs.connect(at)
    past = history(at, version.name)
    if before is not None:
        past = _with(past, before)
    client.set_registered_model_alias(version.name, CHAMPION, version.version)
    _tag_runs(at, version)
    champions = json.dumps([*past, version.version][-_KEPT:])
    client.set_registered_model_tag(version.name, HISTORY, champions)
    _sign(client, version.name, version.version, "crowned", reason)


def _tag_runs(at: TrackingConfig, version: Version) -> None:
    """Tag the champion's run ``champion: yes``, and other runs of the model that have it ``former``.

    A deleted run stays as it is.
    """
    client = runs.connect(at)
    experiment = None
    try:
        experiment = client.get_run(version.run).info.experiment_id
        client.set_tag(version.run, runs.VERSION_TAG, f"{version.name}/{version.version}")
        client.set_tag(version.run, CHAMPION_TAG, "yes")
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "INVALID_STATE"):
            raise
        named = client.get_experiment_by_name(at.experiment)
        experiment = experiment or (named.experiment_id if named is not None else None)
    for run in client.search_runs([experiment] if experiment else [], f"tags.`{CHAMPION_TAG}` = 'yes'"):
        of_model = run.data.tags.get("model_version", "").rpartition("/")[0] == version.name
        if of_model and run.info.run_id != version.run:
            client.set_tag(run.info.run_id, CHAMPION_TAG, "former")


def _with(past: list[str], current: Version) -> list[str]:
    """Append the present champion to the history, unless it ends in it."""
    return past if past[-1:] == [current.version] else [*past, current.version]


def _sign(client: MlflowClient, name: str, version: str, what: str, reason: str) -> None:
    """Record on the version who moved the alias, when and why."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for field, value in (("when", now), ("by", _who()), ("why", reason)):
        client.set_model_version_tag(name, version, f"braid.{what}_{field}", value)


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


@contextmanager
def _locked(at: TrackingConfig, workspace: Path, name: str) -> Iterator[None]:
    folder = workspace / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    key = digest(str(at.registry_uri or at.tracking_uri), name)
    with FileLock(folder / f"champion-{key}.lock"):
        yield
