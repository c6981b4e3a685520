"""A pool of processes that begins what takes longest as soon as it can."""

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextvars import ContextVar
from typing import Any

seconds_left: ContextVar[float] = ContextVar("seconds_left", default=0.0)
"""Seconds that what is submitted, and all that waits for it, took in earlier runs."""
_GRACE = 0.1  # seconds


class LongestFirst(ProcessPoolExecutor):
    """A pool that keeps what waits to itself, and gives a free process the longest.

    The pool of the standard library hands out in the order of submission, so the work whose preparation took
    longest would begin last. What waits for a result is submitted a moment after that: a process that becomes
    free is given its next work only after that moment.
    """

    def __init__(self, max_workers: int, **options: Any) -> None:
        super().__init__(max_workers, **options)
        self._free = max_workers
        self._guard = threading.Lock()
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, Future[Any], Callable[[], Any]]] = []

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Submit a call; ``seconds_left`` of the context says how long it and its successors take."""
        result: Future[Any] = Future()

        def begin() -> Future[Any]:
            return super(LongestFirst, self).submit(function, *arguments, **named)

        with self._guard:
            heapq.heappush(self._waiting, (-seconds_left.get(), next(self._order), result, begin))
        self._begin()
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the pool as its base does; what waits is begun first, or cancelled."""
        with self._guard:
            waiting, self._waiting = self._waiting, []
        for _, _, result, begin in sorted(waiting, key=lambda each: each[:2]):
            if cancel_futures:
                result.cancel()
            else:
                self._run(result, begin)
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _begin(self) -> None:
        """Give every free process its next work."""
        while True:
            with self._guard:
                if not self._waiting or not self._free:
                    return
                self._free -= 1
                _, _, result, begin = heapq.heappop(self._waiting)
            self._run(result, begin)

    def _run(self, result: Future[Any], begin: Callable[[], Future[Any]]) -> None:
        if not result.set_running_or_notify_cancel():
            self._end()
            return
        try:
            call = begin()
        except Exception as error:  # the pool is broken or closed
            result.set_exception(error)
            self._end()
            return

        def finish(call: Future[Any]) -> None:
            _copy(call, result)
            self._end()

        call.add_done_callback(finish)

    def _end(self) -> None:
        with self._guard:
            self._free += 1
            waits = bool(self._waiting)
        if waits:
            later = threading.Timer(_GRACE, self._begin)
            later.daemon = True
            later.start()


def _copy(source: Future[Any], to: Future[Any]) -> None:
    if source.cancelled():
        to.set_exception(RuntimeError("the pool was shut down before this began"))
    elif (error := source.exception()) is not None:
        to.set_exception(error)
    else:
        to.set_result(source.result())
