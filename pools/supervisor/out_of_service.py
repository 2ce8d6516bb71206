"""An operator's drain: the pod takes no more sessions and keeps no stock, until it is brought back.

Unlike the drain at the end (drain.py) it can be taken back at once: the zygote stays, calls go on, and the pod goes on
proving that it lives. It ends with this incarnation of the pod.
"""

import logging

from pools.models import Pod
from pools.processes.agent_pool import DRAINED, AgentPool
from pools.rooms.room_pool import RoomPool

logger = logging.getLogger(__name__)


class OutOfService:
    """`in_force`: as of the last look at our row."""

    def __init__(self, pod: Pod, agents: AgentPool, rooms: RoomPool) -> None:
        self._pod = pod
        self._agents = agents
        self._rooms = rooms
        self.in_force = False

    def look(self) -> None:
        in_force = Pod.objects.drained_by_operator().filter(pk=self._pod.pk).exists()
        if in_force != self.in_force:
            event = "pod_out_of_service" if in_force else "pod_back_in_service"
            logger.info("event=%s pod=%s calls=%d", event, self._pod.name, len(self._agents.busy()))
        self.in_force = in_force

    def step(self) -> None:
        """What a claim has taken meanwhile is handed off all the same."""
        self._agents.end_stock(DRAINED)
        self._rooms.leave_to_others()
