"""The pod proves that it lives, once a second, and learns whether it has been reaped."""

import logging
from collections.abc import Callable

from pools.models import HANDOFF_LEASE, Pod
from pools.processes.agent_pool import AgentPool
from pools.supervisor.quick_poll import RowCounts, quick_poll
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)

LATE_BEATS = 3  # a gap of so many intervals is an interruption


class Heartbeat:
    """`reaped`: somebody has ended our row; we own nothing any more."""

    def __init__(self, config: SupervisorConfig, pod: Pod, agents: AgentPool, daily_works: Callable[[], bool]) -> None:
        self._config = config
        self._pod = pod
        self._agents = agents
        self._daily_works = daily_works
        self._due = 0.0
        self._last = 0.0
        self._since: float | None = None  # since when it has been in time
        self._reported_slots = -1
        self.reaped = False

    @property
    def due(self) -> float:
        return float("inf") if self.reaped else self._due

    @property
    def interrupted(self) -> bool:
        """We were late: are we still somebody? Ask before anything is made or handed out."""
        return self._since is None and not self.reaped

    def _can_do_chores(self, now: float) -> bool:
        """It has been in time for as long as others are given who are late, and Daily works."""
        late = self._since is None or now - self._last > self._longest_gap
        on_time = not late and now - (self._since or now) > HANDOFF_LEASE.total_seconds()
        return on_time and self._daily_works()

    @property
    def _longest_gap(self) -> float:
        return self._config.heartbeat_interval * LATE_BEATS

    def interrupt(self) -> None:
        self._since = None

    def postpone(self, until: float) -> None:
        self._due = until

    def beat(self, now: float) -> None:
        """If it is time, or if the free slots, by which calls are spread, have changed."""
        slots = self._agents.free_slots
        if now < self._due and slots == self._reported_slots:
            return
        alive = self._pod.beat(
            free_slots=slots,
            start_method=self._agents.zygote.method,
            agent_trouble=self._trouble,
            can_do_chores=self._can_do_chores(now),
        )
        self._has_beaten(now, slots, alive=alive)

    def quick_poll(self, now: float) -> RowCounts | None:
        """A beat that also counts our rows; None: we have been reaped."""
        slots = self._agents.free_slots
        seen = quick_poll(
            self._pod,
            free_slots=slots,
            start_method=self._agents.zygote.method,
            agent_trouble=self._trouble,
            calls=bool(self._agents.busy()),
            can_do_chores=self._can_do_chores(now),
        )
        self._has_beaten(now, slots, alive=seen is not None)
        return seen

    @property
    def _trouble(self) -> str:
        return self._agents.trouble or self._agents.zygote.trouble

    def _has_beaten(self, now: float, slots: int, *, alive: bool) -> None:
        self._reported_slots = slots
        if not alive:
            logger.error("event=pod_was_reaped pod=%s: finishing acknowledged calls, then stopping", self._pod.name)
            self.reaped = True
        if self._since is None or now - self._last > self._longest_gap:
            self._since = now
        self._last = now
        self._due = now + self._config.heartbeat_interval
