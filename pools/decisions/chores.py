"""Which pod does the fleet's chores, and how long another pod has been silent. Pure: of what was seen of the pods."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

CREDIT_S = 1.25  # the most that one look adds to a silence: a little more than from one poll to the next


@dataclass(frozen=True)
class PodSeen:
    """A pod that has not ended. `silent`: seconds since its heartbeat; `can`: it says of itself that it is on time and
    that its access to Daily works."""

    pk: int
    name: str
    heartbeat_at: datetime
    silent: float
    draining: bool
    can: bool


def first_for_chores(live: Iterable[PodSeen]) -> PodSeen | None:
    """The oldest of those that can do them and do not drain. Where there is none, the best that there is: somebody has
    to delete rooms and end calls that are left alone."""
    return min(live, key=lambda pod: (not pod.can, pod.draining, pod.pk), default=None)


def silence(before: float | None, *, silent: float, since_last_look: float) -> float:
    """Seconds for which a pod counts as silent, after one more look at its row. `before`: after the last one; None: its
    heart has beaten since.

    The judge may have been away himself, with the database or with the whole machine, and then the other could not
    prove its life either. So a look adds little, however long ago the last one was: who is late judges later, but does
    judge.
    """
    if before is None:
        return min(silent, CREDIT_S)
    return before + min(since_last_look, CREDIT_S)
