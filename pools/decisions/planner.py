"""Decisions: pure functions of counts, settings and a clock. No database, no processes, no time of its own.

Seconds are those of whatever clock the caller uses; nothing here reads one.
"""

import random
from dataclasses import dataclass
from enum import StrEnum

FIRST_ACK_S = 1.0
STARVED_TIMES = 4
MAX_ATTEMPTS = 3  # one hand-off and two more
REHAND_WITHIN_S = 60.0
BATCH_FROM = 3  # so many missing rooms are worth one batch call instead of single ones
LOOKS_A_SECOND = 2  # by all pods together
LONGEST_LOOK_S = 45.0
MAX_DOUBLINGS = 32  # of a pause: beyond any ceiling, and far from what a float can hold (an outage of hours gets there)


def shortfall(*, target: int, cap: int, warming: int, available: int) -> int:
    """How many to make so that warming and available reach the target, never above the cap.

    What is warming counts: otherwise each look at a pool that fills would order the whole shortfall again.
    """
    return max(0, min(target, cap) - warming - available)


def surplus(*, target: int, warming: int, available: int) -> int:
    """How many of the available to give up, because the target has sunk."""
    return max(0, min(available, available + warming - target))


def agents_to_start(*, target: int, cap: int, warming: int, available: int, alive: int, max_processes: int) -> int:
    """As `shortfall`, within the processes that the pod may still start; `alive` counts every process of it."""
    return min(shortfall(target=target, cap=cap, warming=warming, available=available), max(0, max_processes - alive))


def to_retire(*, old: int, warming: int, target: int) -> int:
    """How many that are to be replaced (old, or at an operator's word) to give up now: a few at a time, each
    replaced before the next.

    The rooms of a pod are often of one age (made by one batch); retiring all at once would leave none.
    """
    return 0 if warming else min(old, max(1, target // 4))


def acknowledgement_timeout(attempt: int) -> float:
    """Seconds in which a process must acknowledge: 1, 2, 4, so that an overload does not feed itself."""
    return FIRST_ACK_S * 2 ** (min(attempt, MAX_ATTEMPTS) - 1)


def hangs(silence: float, limit: float, *, starved: bool) -> bool:
    """Whether a process that owes an answer is given up. One that visibly waits for a CPU has more time: to kill it and
    start another would feed the overload that it suffers from."""
    return silence > (STARVED_TIMES * limit if starved else limit)


def may_hand_off_again(*, attempt: int, age: float) -> bool:
    """Whether a session whose hand-off failed gets another process. `age`: seconds since it was claimed."""
    return attempt < MAX_ATTEMPTS and age < REHAND_WITHIN_S


class Source(StrEnum):
    """Where a waiting session's process comes from, in the order of preference."""

    AVAILABLE = "available"
    WARMING = "warming"
    NEW = "new"


def sources_for_waiting(*, waiting: int, available: int, warming: int, alive: int, max_processes: int) -> list[Source]:
    """One source for each waiting session that this pod can take, the fastest first."""
    new = max(0, max_processes - alive)
    sources = [Source.AVAILABLE] * available + [Source.WARMING] * warming + [Source.NEW] * new
    return sources[:waiting]


def look_interval(pods: int, *, poll_interval: float) -> float:
    """Seconds from one look at all rows to the next, where glances (glance.py) will do in between: the looks of a large
    fleet together are as frequent as those of a small one."""
    return min(max(poll_interval, pods / LOOKS_A_SECOND), max(poll_interval, LONGEST_LOOK_S))


@dataclass(frozen=True)
class Backoff:
    """When to try again after failures in a row: exponential with jitter. Immutable; `now` comes from the caller.

    `steady` keeps at least three quarters of each pause (a bot that does not start: never more than six tries a
    minute); without it the jitter is full, which spreads many pods best (AWS Architecture Blog, "Exponential Backoff
    And Jitter").
    """

    base: float
    ceiling: float
    steady: bool = False
    failures: int = 0
    until: float = 0.0

    def failed(self, now: float, *, at_least: float = 0.0, chance: float | None = None) -> "Backoff":
        """After one more failure; `at_least`: seconds that the other side asked for; `chance`: 0..1."""
        chance = random.random() if chance is None else chance  # noqa: S311 (jitter, not a secret)
        pause = min(self.ceiling, self.base * 2 ** min(self.failures, MAX_DOUBLINGS))
        pause *= 0.75 + 0.25 * chance if self.steady else chance
        return Backoff(self.base, self.ceiling, self.steady, self.failures + 1, now + max(pause, at_least))

    def succeeded(self) -> "Backoff":
        return Backoff(self.base, self.ceiling, self.steady)

    def allows(self, now: float) -> bool:
        return now >= self.until


def lateness(*, waited: float, asked: float, worked: float, tolerance: float = 0.5) -> float:
    """Seconds by which a loop was late, 0 within the tolerance. A late judge judges nobody: whoever seems hung may
    just not have been listened to.

    `asked`: how long the wait should have been at most; `waited`: how long it was; `worked`: how long the turn took.
    """
    late = max(0.0, waited - asked) + worked
    return late if late > tolerance else 0.0
