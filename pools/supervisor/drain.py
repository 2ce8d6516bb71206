"""The two drains of a pod: the one at its end, and the one that an operator overrides and may take back.

At the end a pod takes no more sessions, ends its idle processes, lets calls finish, and stops them when the time for
that is over. An operator's drain keeps the zygote and the heartbeat, calls go on, and the pod can be brought back.
"""

import logging
from collections.abc import Callable

from pools.models import Pod, VoiceSession
from pools.processes.agent_pool import DRAINED, STOPPED, AgentPool
from pools.processes.handoff import HandOffs
from pools.rooms.room_pool import RoomPool

logger = logging.getLogger(__name__)

DEVELOPMENT_DRAIN_S = 5.0  # after SIGINT, as `make run` stops a pod


class Drain:
    """`begun`: somebody has asked for it. `done`: nothing is handed out any more, and nothing is left to hand out."""

    def __init__(
        self, pod: Pod, agents: AgentPool, handoffs: HandOffs, stop_now: float, clock: Callable[[], float]
    ) -> None:
        """`stop_now`: seconds that a call gets to end once its time is over."""
        self._stop_now = stop_now
        self._clock = clock
        self._pod = pod
        self._agents = agents
        self._handoffs = handoffs
        self._stop_at: float | None = None  # calls are told to end then
        self._stopping = False
        self.done = False

    @property
    def begun(self) -> bool:
        return self._stop_at is not None

    def begin(self, timeout: float) -> None:
        self._stop_at = self._clock() + timeout
        logger.info("event=draining pod=%s calls=%d timeout_s=%g", self._pod.name, len(self._agents.busy()), timeout)

    def hurry(self, now: float) -> None:
        """Calls are cut now."""
        logger.warning("event=stop_now pod=%s calls=%d", self._pod.name, len(self._agents.busy()))
        self._stop_at = now

    def step(self, now: float) -> None:
        if not self._pod.draining:
            self._pod.drain()
            self._pod.draining = True
            self._handoffs.poll(now, draining=True)  # what was claimed up to now is handed off
        self._agents.end_stock(DRAINED)
        # A claim that won against the drain is still to be handed off, or handed back.
        self.done = not VoiceSession.objects.assigned().filter(agent_process__pod=self._pod).exists()

    def enforce_deadline(self, now: float) -> None:
        """When the time for draining is over, tell calls to end; then kill them."""
        if self._stop_at is None or now < self._stop_at:
            return
        if not self._stopping:
            self._stopping = True
            self._handoffs.stop_calls("pod_stopped", self._stop_now, now)
        elif now >= self._stop_at + 2 * self._stop_now:
            for agent in self._agents.agents.values():
                agent.condemn(STOPPED)


class OutOfService:
    """An operator's drain. `in_force`: as of the last poll."""

    def __init__(self, pod: Pod, agents: AgentPool, rooms: RoomPool) -> None:
        self._pod = pod
        self._agents = agents
        self._rooms = rooms
        self.in_force = False

    def poll(self) -> None:
        in_force = Pod.objects.drained_by_operator().filter(pk=self._pod.pk).exists()
        if in_force != self.in_force:
            event = "pod_out_of_service" if in_force else "pod_back_in_service"
            logger.info("event=%s pod=%s calls=%d", event, self._pod.name, len(self._agents.busy()))
        self.in_force = in_force

    def step(self) -> None:
        """What a claim has taken meanwhile is handed off all the same."""
        self._agents.end_stock(DRAINED)
        self._rooms.leave_to_others()
