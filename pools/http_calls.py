"""HTTP beside the supervisor's loop: a few threads call Daily, or receivers of webhooks, and never the ORM.

A job is a function without arguments; its result (or its DailyError) comes back to the loop, which calls `done` with
it in its own thread. `fileno()` becomes readable when there is something to collect.
"""

import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import Any

from pools.daily.errors import DailyError

logger = logging.getLogger(__name__)

Done = Callable[[Any, DailyError | None], None]
Submit = Callable[[Callable[[], Any], Done], None]  # a job, and what is called with its result


class HttpCalls:
    def __init__(self, threads: int = 4, name: str = "daily") -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Done] | None] = queue.SimpleQueue()  # None: no more
        self._results: queue.SimpleQueue[tuple[Done, Any, DailyError | None]] = queue.SimpleQueue()
        self._closed = False
        self._threads = threads
        self._under_way = 0  # submitted and not yet collected
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        for number in range(threads):  # daemons: a call that Daily does not answer must not keep us from exiting
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def fileno(self) -> int:
        return self._wakeup

    @property
    def free(self) -> int:
        """Threads that would begin with a job at once. One that waits in the queue would make its call in another
        window of Daily's limits than the one whose budget it was given."""
        return max(0, self._threads - self._under_way)

    def submit(self, job: Callable[[], Any], done: Done) -> None:
        """Run `job()` in a thread; later, in the loop, `done(result, None)` or `done(None, error)`."""
        self._under_way += 1
        self._jobs.put((job, done))

    def _work(self) -> None:
        while call := self._jobs.get():
            self._run(*call)

    def _run(self, job: Callable[[], Any], done: Done) -> None:
        try:
            outcome: tuple[Any, DailyError | None] = (job(), None)
        except DailyError as error:
            outcome = (None, error)
        except Exception as error:  # a bug of ours must come back too, or its rooms stay warming for ever
            logger.exception("event=daily_job_failed")
            outcome = (None, DailyError("job", None, type(error).__name__))
        self._results.put((done, *outcome))
        if not self._closed:
            os.eventfd_write(self._wakeup, 1)

    def collect(self) -> int:
        """Call `done` for everything that has come back; how many."""
        try:
            os.eventfd_read(self._wakeup)
        except BlockingIOError:
            return 0
        collected = 0
        while not self._results.empty():
            done, result, error = self._results.get()
            collected += 1
            self._under_way -= 1
            try:
                done(result, error)
            except Exception:  # a bug of ours, in the work of one call
                logger.exception("event=daily_job_failed")
        return collected

    def close(self) -> None:
        """Wait for nothing: the rows of calls under way say what to look for at Daily."""
        self._closed = True
        for _ in range(self._threads):
            self._jobs.put(None)
        os.close(self._wakeup)
