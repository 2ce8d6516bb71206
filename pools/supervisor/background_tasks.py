"""Work of others that rides in the supervisor's loop: the telephones and webhooks of leads. `pools` knows no leads:
`runpools`, where everything is put together, hands them over.

They come last in a turn: web callers and the pools go first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Protocol

from pools.guards import Guards
from pools.models import Pod
from pools.supervisor.watching import Watching


@dataclass(frozen=True)
class Turn:
    """Of the loop. `now`: on the supervisor's clock; `woken`: something has changed; `draining`: begin nothing new;
    `guards`: for what is done for one row, so that it ends nothing else if it raises."""

    pod: Pod
    now: float
    woken: bool
    draining: bool
    guards: Guards


class BackgroundTask(Protocol):
    """`due`: when it has to be asked again, whatever happens; inf where the loop's own poll will do."""

    @property
    def due(self) -> float: ...

    def fileno(self) -> int:
        """Readable when there is something to hear."""

    def receive(self, now: float) -> None:
        """Take what has arrived, into memory only: there may be no database just now."""

    def record(self, now: float) -> bool:
        """Write what has been heard; whether there was anything."""

    def step(self, turn: Turn) -> None:
        """Do what is due, in small steps that may be repeated; database errors are the supervisor's."""

    def close(self) -> None: ...


class BackgroundTasks:
    def __init__(self, members: Sequence[BackgroundTask], guards: Guards) -> None:
        self._members = members
        self._guards = guards
        self._woken = False

    @property
    def due(self) -> float:
        return min((member.due for member in self._members), default=inf)

    def watch(self, watching: Watching) -> None:
        for member in self._members:
            watching.add(member, member.receive)

    def record(self, now: float) -> bool:
        changed = False
        for member in self._members:
            changed |= bool(self._guards.run(f"{_name(member)}'s records", partial(member.record, now)))
        return changed

    def wake(self) -> None:
        """Something has changed; kept until they have been asked."""
        self._woken = True

    def step(self, pod: Pod, now: float, *, draining: bool) -> None:
        turn = Turn(pod, now, self._woken, draining, self._guards)
        for member in self._members:
            self._guards.run(_name(member), partial(member.step, turn))
        self._woken = False

    def close(self) -> None:
        for member in self._members:
            member.close()


def _name(member: BackgroundTask) -> str:
    return type(member).__name__
