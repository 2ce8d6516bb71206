"""Work beside the calls that must not end the loop that does it: a task or a row that raises is left alone for a while.

The log and the pod's row say what raised and where, but not the words of the error: they may quote a row's values.
Errors that say that the database is away pass: they concern everything, and the loop deals with them.
"""

import logging
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from common.database import DATABASE_AWAY
from pools.decisions.planner import Backoff
from pools.metrics.pod import FAILURES

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0
FORGOTTEN_S = 300.0  # nobody has tried it again since: its row is gone
WORTH_TELLING = 3
PROJECT = Path(__file__).resolve().parents[1]
T = TypeVar("T")


class Guards:
    """What has raised, by name, and when it is tried again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failing: dict[str, tuple[Backoff, str]] = {}

    def run(self, name: str, work: Callable[[], T]) -> T | None:
        """What `work` returns; None if it raises, or if it has raised and its pause is not over."""
        now = self._clock()
        backoff, _ = self._failing.get(name, (Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, steady=True), ""))
        if not backoff.allows(now):
            return None
        try:
            result = work()
        except DATABASE_AWAY:
            raise
        except Exception as error:
            backoff = backoff.failed(now)
            self._failing[name] = backoff, told(error)
            _tell(name, error, backoff.until - now)
            return None
        self._failing.pop(name, None)
        return result

    def count(self, name: str, rows: Iterable[T], work: Callable[[T], object]) -> int:
        """Do the work for each row, by itself; for how many it has returned something true."""
        return sum(bool(self.run(f"{name} {row}", partial(work, row))) for row in rows)

    @property
    def trouble(self) -> str:
        """What is failing now, in words; empty: nothing."""
        now = self._clock()
        self._failing = {
            name: failing for name, failing in self._failing.items() if failing[0].until + FORGOTTEN_S > now
        }
        words = [f"{name} fails: {problem}" for name, (_, problem) in sorted(self._failing.items())]
        more = [f"and {len(words) - WORTH_TELLING} more"] if len(words) > WORTH_TELLING else []
        return "; ".join(words[:WORTH_TELLING] + more)


def one_by_one(items: deque[T], work: Callable[[T], object], name: str) -> None:
    """Do the work for each and take it away; one that raises goes too, or those behind it would wait for ever. While
    the database is away, they stay."""
    while items:
        try:
            work(items[0])
        except DATABASE_AWAY:
            raise
        except Exception as error:
            _tell(name, error)
        items.popleft()


def told(error: BaseException) -> str:
    """Its type, and the line of ours that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        frame for frame in frames if Path(frame.filename).is_relative_to(PROJECT) and "/site-" not in frame.filename
    ]
    place = f" at {Path(ours[-1].filename).relative_to(PROJECT)}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{place}"


def _tell(name: str, error: BaseException, pause: float = 0.0) -> None:
    FAILURES.labels("task").inc()
    logger.error('event=task_failed task="%s" problem="%s" again_in_s=%.0f', name, told(error), pause)
