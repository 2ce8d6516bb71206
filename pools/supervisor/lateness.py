"""Restarts all deadlines when a turn of the supervisor's loop, or the wait before it, took too long."""

from collections.abc import Callable

from pools.decisions import planner
from pools.metrics.pod import LATE, TURN_SECONDS
from pools.processes.pings import Pings
from pools.supervisor.heartbeat import Heartbeat

LATE_FOR_LEASES_S = 2.0  # the shortest is of 3 s; always a little late, as a busy machine is, must not end all reaping


class Lateness:
    """Told of each turn when its wait begins and ends, and when its work is done."""

    def __init__(self, pings: Pings, heartbeat: Heartbeat, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pings = pings
        self._heartbeat = heartbeat
        self._turn_ended: float | None = None
        self._wait_began = self._wait_ended = 0.0

    def waits(self) -> None:
        self._wait_began = self._clock()
        if self._turn_ended is not None:
            self._allow_for(self._wait_began, worked=self._wait_began - self._turn_ended)

    def has_waited(self, asked: float) -> float:
        """At most `asked` seconds, if all was well. The time now, for the rest of the turn."""
        self._wait_ended = self._clock()
        self._allow_for(self._wait_ended, waited=self._wait_ended - self._wait_began, asked=asked)
        return self._wait_ended

    def has_worked(self) -> None:
        self._turn_ended = self._clock()
        worked = self._turn_ended - self._wait_ended
        TURN_SECONDS.observe(worked)
        self._allow_for(self._turn_ended, worked=worked)

    def _allow_for(self, now: float, *, waited: float = 0.0, asked: float = 0.0, worked: float = 0.0) -> None:
        """After half a second no agent is killed for its silence; after `LATE_FOR_LEASES_S` no other pod is reaped."""
        late = planner.lateness(waited=waited, asked=asked, worked=worked)
        if late:
            LATE.inc()
            self._pings.restart_deadlines(now)
        if late > LATE_FOR_LEASES_S:
            self._heartbeat.interrupt()
