"""Run folder of a flow run: a new one, or that of a run that was cut off."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from components.errors import BraidError, ServiceError
from components.runtime.living import is_held
from components.storage.atomic import write_json


@dataclass(frozen=True)
class RunRecord:
    """Record of a run, ``run.json`` in its folder.

    Attributes:
        key: Name of the folder.
        purpose: Digest of the configuration.
        flow_runs: Ids of the Prefect flow runs that have worked in the folder.
        status: ``running`` (also after a kill, and where a service was gone), ``finished`` or ``failed``.
        process: Id of the process that works in the folder, or was the last to.
    """

    key: str
    purpose: str
    flow_runs: tuple[str, ...]
    status: str
    process: int


@contextmanager
def claim(
    workspace: Path, name: str, purpose: str, flow_run: str, key: str | None = None
) -> Iterator[RunRecord]:
    """Hold the run folder for a flow run.

    A retried flow run gets its own folder again. Otherwise a run of the same purpose is resumed, if it was
    interrupted or killed, or lost a service: its status is ``running`` and its lock is free. Otherwise the
    folder is new. The lock ends with the process, however that ends.

    Args:
        workspace: Folder with all runs.
        name: Name of the pipeline; begins the key.
        purpose: Digest of the configuration.
        flow_run: Id of the Prefect flow run.
        key: Key of the only folder that this work may have, whatever its status; None chooses one.

    Raises:
        BraidError: If another process works in the folder of ``key``.
    """
    runs = workspace / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    with FileLock(runs / "lock"):
        if key is None:
            record, lock = _resume(runs, purpose, flow_run) or _create(runs, name, purpose)
        else:
            record, lock = _take(runs, key, purpose)
        record = replace(
            record,
            status="running",
            flow_runs=tuple(dict.fromkeys([*record.flow_runs, flow_run])),
            process=os.getpid(),
        )
        _write(runs, record)
    try:
        yield record
    except ServiceError:  # the record stays as it is: the next command of the same purpose resumes the run
        raise
    except Exception:
        _write(runs, replace(record, status="failed"))
        raise
    else:
        _write(runs, replace(record, status="finished"))
    finally:
        lock.release()


def _resume(runs: Path, purpose: str, flow_run: str) -> tuple[RunRecord, FileLock] | None:
    records = [_read(file) for file in sorted(runs.glob("*/run.json"), reverse=True)]
    own = [record for record in records if flow_run in record.flow_runs]
    cut_off = [record for record in records if record.purpose == purpose and record.status == "running"]
    for record in [*own, *cut_off]:
        lock = FileLock(runs / record.key / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        return record, lock
    return None


def _create(runs: Path, name: str, purpose: str) -> tuple[RunRecord, FileLock]:
    key = f"{name}-{datetime.now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}"
    (runs / key).mkdir()
    lock = FileLock(runs / key / "lock")
    lock.acquire(timeout=0)
    return RunRecord(key, purpose, (), "running", os.getpid()), lock


def _take(runs: Path, key: str, purpose: str) -> tuple[RunRecord, FileLock]:
    (runs / key).mkdir(exist_ok=True)
    lock = FileLock(runs / key / "lock")
    file = runs / key / "run.json"
    record = _read(file) if file.exists() else RunRecord(key, purpose, (), "running", os.getpid())
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BraidError(f"process {record.process} is working on {key}; wait for its end") from None
    return record, lock


def _read(file: Path) -> RunRecord:
    values = json.loads(file.read_text("utf-8"))
    return RunRecord(**{**values, "flow_runs": tuple(values["flow_runs"])})


def _write(runs: Path, record: RunRecord) -> None:
    write_json(runs / record.key / "run.json", asdict(record))


def may_be_at_work(workspace: Path, key: str) -> bool:
    """Return whether a process may be working on a run: one does, or the run is not of this workspace."""
    runs = workspace / "runs"
    if not (runs / key / "lock").exists():
        return True
    with FileLock(runs / "lock"):  # nobody who is about to resume the run finds its lock held
        return is_held(runs / key / "lock")


def cut_off(workspace: Path) -> list[str]:
    """Name the runs, each with its last process, that nobody works on though they have not ended."""
    records = [_read(file) for file in sorted((workspace / "runs").glob("*/run.json"))]
    return [
        f"{record.key} of process {record.process}"
        for record in records
        if record.status == "running" and not may_be_at_work(workspace, record.key)
    ]


def newest_of(workspace: Path, process: int) -> Path | None:
    """Return the folder of the newest run that a process works on; None if there is none."""
    for file in sorted(
        (workspace / "runs").glob("*/run.json"), key=lambda file: file.stat().st_mtime, reverse=True
    ):
        record = _read(file)
        if record.process == process and record.status == "running":
            return file.parent
    return None
