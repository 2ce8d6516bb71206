"""Whether the pools of a running service are full, read from its status endpoints."""

from dataclasses import dataclass
from typing import Any

from devtools.dev_service import DevService, NoService, Refused

AGENTS = "/agent/voice/automatic/pool/status"
ROOMS = "/agent/voice/automatic/pool/rooms/status"


@dataclass
class PoolStatus:
    """The last answers of the status endpoints; None: no answer."""

    agents: dict[str, Any] | None = None
    rooms: dict[str, Any] | None = None
    problem: str = ""

    @classmethod
    def of(cls, service: DevService, pod: str) -> "PoolStatus":
        try:
            return cls(service.get(AGENTS, pod=pod), service.get(ROOMS, pod=pod))
        except (NoService, Refused) as exc:  # not up yet, or the pod has not made its row
            return cls(problem=str(exc))

    def are_full(self, agents: int, rooms: int) -> bool:
        return bool(
            self.agents and self.rooms and self.agents["available"] >= agents and self.rooms["available"] >= rooms
        )

    def why_not_full(self) -> str:
        if not self.agents or not self.rooms:
            return self.problem
        counts = f"agent processes {ready_of(self.agents)}, rooms {ready_of(self.rooms)}"
        return "; ".join([counts, *self.agents["reasons"]])


def ready_of(status: dict[str, Any] | None) -> str:
    return f"{status['available']} of {status['pool_size']} ready" if status else ""
