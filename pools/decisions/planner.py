"""What the supervisor decides, as pure functions of counts, settings and times that the caller passes in.

Nothing here reads a clock, a row or a process. All times are in seconds.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FIRST_ACK_S = 1.0
STARVED_TIMES = 4
MAX_ATTEMPTS = 3  # one hand-off and two more
REHAND_WITHIN_S = 60.0
BATCH_FROM = 3  # so many missing rooms are worth one batch call instead of single ones
FULL_POLLS_A_SECOND = 2  # by all pods together
LONGEST_FULL_POLL_S = 45.0
MAX_DOUBLINGS = 32  # of a pause: beyond any ceiling, and far from what a float can hold (an outage of hours gets there)


def shortfall(*, target: int, cap: int, warming: int, available: int) -> int:
    """How many items to make so that warming plus available reach the target, never above the cap.

    Warming items count: otherwise each turn of the loop would make the whole shortfall again while a pool fills.
    """
    return max(0, min(target, cap) - warming - available)


def surplus(*, target: int, warming: int, available: int) -> int:
    """How many available items to give up because the target is lower now."""
    return max(0, min(available, available + warming - target))


def agents_to_start(*, target: int, cap: int, warming: int, available: int, alive: int, max_processes: int) -> int:
    """How many agent processes to start: the shortfall, within the pod's limit of processes.

    `alive`: all processes of the pod, those in sessions included.
    """
    return min(shortfall(target=target, cap=cap, warming=warming, available=available), max(0, max_processes - alive))


def to_retire(*, old: int, warming: int, target: int) -> int:
    """How many of the `old` items (aged, or marked by an operator) to give up now.

    At most a quarter of the target at a time, and none while replacements are warming. The rooms of a pod are often of
    one age (made in one batch); retiring all at once would leave none.
    """
    return 0 if warming else min(old, max(1, target // 4))


@dataclass(frozen=True)
class RoomChanges:
    """What a pool of rooms does now: so many of the available to end, of the old to retire, and to make."""

    surplus: int = 0
    retire: int = 0
    make: int = 0


def room_changes(*, target: int, cap: int, warming: int, available: int, old: int) -> RoomChanges:
    """`old`: how many of the available are to be replaced. A pool above its target only gives up its surplus."""
    if above := surplus(target=target, warming=warming, available=available):
        return RoomChanges(surplus=above)
    retire = to_retire(old=old, warming=warming, target=target)
    missing = shortfall(target=target, cap=cap, warming=warming, available=available - retire)
    return RoomChanges(retire=retire, make=missing)


def acknowledgement_timeout(attempt: int) -> float:
    """Seconds within which a process must acknowledge a hand-off: 1, 2, then 4, so that overload does not grow."""
    return FIRST_ACK_S * 2 ** (min(attempt, MAX_ATTEMPTS) - 1)


def hangs(silence: float, limit: float, *, starved: bool) -> bool:
    """Whether a process that owes an answer for `silence` seconds counts as hung.

    `starved`: the kernel says that it only waits for a CPU. It then has more time, because killing it and starting
    another would feed the overload.
    """
    return silence > (STARVED_TIMES * limit if starved else limit)


def may_hand_off_again(*, attempt: int, age: float) -> bool:
    """Whether a session whose hand-off failed gets another process. `age`: seconds since the claim."""
    return attempt < MAX_ATTEMPTS and age < REHAND_WITHIN_S


class Source(StrEnum):
    """Where a waiting session's process comes from, in the order of preference."""

    AVAILABLE = "available"
    WARMING = "warming"
    NEW = "new"


def sources_for_waiting(*, waiting: int, available: int, warming: int, alive: int, max_processes: int) -> list[Source]:
    """One source of a process for each waiting session that this pod can take, the fastest first."""
    new = max(0, max_processes - alive)
    sources = [Source.AVAILABLE] * available + [Source.WARMING] * warming + [Source.NEW] * new
    return sources[:waiting]


def full_poll_interval(pods: int, *, poll_interval: float) -> float:
    """Seconds from one full poll of all rows to the next; in between, quick polls (quick_poll.py) are enough.

    It grows with the number of pods, so that all pods together poll at most `FULL_POLLS_A_SECOND` times a second.
    """
    return min(max(poll_interval, pods / FULL_POLLS_A_SECOND), max(poll_interval, LONGEST_FULL_POLL_S))


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
        """The state after one more failure. `at_least`: seconds that the other side asked to wait; `chance`: 0..1."""
        chance = random.random() if chance is None else chance  # noqa: S311 (jitter, not a secret)
        pause = min(self.ceiling, self.base * 2 ** min(self.failures, MAX_DOUBLINGS))
        pause *= 0.75 + 0.25 * chance if self.steady else chance
        return Backoff(self.base, self.ceiling, self.steady, self.failures + 1, now + max(pause, at_least))

    def succeeded(self) -> "Backoff":
        return Backoff(self.base, self.ceiling, self.steady)

    def allows(self, now: float) -> bool:
        return now >= self.until


def lateness(*, waited: float, asked: float, worked: float, tolerance: float = 0.5) -> float:
    """Seconds by which a turn of the loop was late; 0 within the tolerance.

    `asked`: the longest that the wait should have taken; `waited`: how long it took; `worked`: how long the turn took.
    A supervisor that was late itself resets all deadlines: a process that seems hung may just not have been read.
    """
    late = max(0.0, waited - asked) + worked
    return late if late > tolerance else 0.0


CREDIT_S = 1.25  # the most that one look adds to a silence: a little more than from one poll to the next


@dataclass(frozen=True)
class PodSeen:
    """A pod that has not ended, as its row shows it.

    `silent`: seconds since its heartbeat; `can`: its row says that its loop is on time and that it can use Daily.
    """

    pk: int
    name: str
    heartbeat_at: datetime
    silent: float
    draining: bool
    can: bool


def first_for_chores(live: Iterable[PodSeen]) -> PodSeen | None:
    """The pod that does the chores of the fleet: the oldest that can do them and does not drain.

    If there is none, the best of the others: somebody has to delete rooms and end abandoned calls. None without pods.
    """
    return min(live, key=lambda pod: (not pod.can, pod.draining, pod.pk), default=None)


def silence(before: float | None, *, silent: float, since_last_look: float) -> float:
    """Seconds for which a pod counts as silent, after one more read of its row.

    `before`: the result of the last read; None if there was a heartbeat since. One read adds at most `CREDIT_S`,
    however long ago the last one was: if this supervisor was paused, or the database was away, the other pod may not
    have been able to write its heartbeat either.
    """
    if before is None:
        return min(silent, CREDIT_S)
    return before + min(since_last_look, CREDIT_S)
