"""Whether a pod has been warm: each of its pools full once. Roll-outs wait for it before they let an old pod drain.

Once and for all: stock that callers have just taken makes no pod a cold one, nor does a Daily that is away.
"""

from pools.processes.agent_pool import AgentPool
from pools.rooms.room_pool import RoomPool


class Warmth:
    def __init__(self, agents: AgentPool, rooms: RoomPool) -> None:
        self._agents = agents
        self._rooms = rooms
        self._agents_were_full = self._rooms_were_full = False

    def missing(self) -> str:
        """In words; empty: nothing, this pod has been warm. Asks the database until then."""
        self._agents_were_full |= self._agents.target.paused or self._agents.available >= self._agents.target.size
        self._rooms_were_full |= self._rooms.target.paused or self._rooms.full
        return ", ".join(self._words())

    def _words(self) -> list[str]:
        words = []
        if not self._agents_were_full:
            words.append(f"agent processes: {self._agents.available} of {self._agents.target.size} are ready")
        if not self._rooms_were_full:
            words.append(f"rooms: fewer than {self._rooms.target.size} are ready")
        return words
