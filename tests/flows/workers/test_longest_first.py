"""The pool begins what takes longest first, also where that was prepared last."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextvars import copy_context
from pathlib import Path

import pytest

from flows.workers import forkserver
from flows.workers.longest_first import LongestFirst, seconds_left


def note(file: Path, name: str, seconds: float) -> str:
    with file.open("a") as log:
        log.write(f"{name}\n")
    time.sleep(seconds)
    return name


def fail() -> None:
    raise KeyError("a key")


@pytest.fixture
def pool() -> Iterator[LongestFirst]:
    with LongestFirst(1, mp_context=forkserver.context()) as made:
        yield made


def submit(pool: LongestFirst, weight: float, file: Path, name: str, seconds: float = 0.0) -> Future[str]:
    def with_weight() -> Future[str]:
        seconds_left.set(weight)
        return pool.submit(note, file, name, seconds)

    return copy_context().run(with_weight)


def test_what_waits_begins_in_the_order_of_its_length(pool: LongestFirst, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = submit(pool, 0, log, "first", 0.5)
    others = [submit(pool, weight, log, f"of {weight}") for weight in (2, 5, 1, 5)]
    assert [each.result(60) for each in [first, *others]] == ["first", "of 2", "of 5", "of 1", "of 5"]
    assert log.read_text().split("\n") == ["first", "of 5", "of 5", "of 2", "of 1", ""]


def test_what_waited_for_a_result_is_not_overtaken(pool: LongestFirst, tmp_path: Path) -> None:
    """As a fit that waits for its preprocessing, the longest of all."""
    log = tmp_path / "log"
    preparation = submit(pool, 9, log, "preparation", 0.5)
    short = submit(pool, 1, log, "short")
    preparation.add_done_callback(lambda _: submit(pool, 9, log, "long"))
    short.result(60)
    assert log.read_text().split() == ["preparation", "long", "short"]


def test_errors_and_an_early_end_reach_who_waits(tmp_path: Path) -> None:
    pool = LongestFirst(1, mp_context=forkserver.context())
    with pytest.raises(KeyError, match="a key"):
        pool.submit(fail).result(60)
    at_work = submit(pool, 0, tmp_path / "log", "at work", 0.5)
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    waiting = submit(pool, 0, tmp_path / "log", "waiting")
    pool.shutdown(cancel_futures=True)
    assert at_work.result(60) == "at work"
    assert waiting.cancelled()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(fail).result(60)
