"""What one `runpools` counts in memory, told on its own port: a restart begins at 0, as Prometheus expects."""

import os
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pools.metrics.processes import Group, ProcessTree

if TYPE_CHECKING:
    from pools.agent_pool import AgentPool
    from pools.models import Pod
    from pools.room_pool import RoomPool

HANDOFF_SECONDS = Histogram(
    "breeze_buddy_handoff_seconds",
    "From the claim to the acknowledgement, by the number of the hand-off.",
    ["attempt"],
    buckets=(0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0),
)
WARMUP_SECONDS = Histogram(
    "breeze_buddy_agent_warmup_seconds",
    "From the start of an agent process to Ready.",
    ["method"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)
TURN_SECONDS = Histogram(
    "breeze_buddy_loop_turn_seconds",
    "How long a turn of the supervisor's loop took, the waiting not included.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)
LOOP_AGE = Gauge("breeze_buddy_loop_age_seconds", "How long ago the supervisor's loop has turned.")
LATE = Counter("breeze_buddy_loop_late", "Turns that were so late that nobody was judged by a deadline.")
FAILURES = Counter("breeze_buddy_failures", "What failed and is tried again after a pause.", ["of"])
for of in ("daily", "agents", "zygote"):  # there as 0 from the beginning: the first one must be a rise
    FAILURES.labels(of)
BREAKER = Gauge("breeze_buddy_breaker_open", "1: has failed and pauses before the next try.", ["of"])
AGENTS = Gauge("breeze_buddy_pod_agent_processes", "Agent processes of this pod.", ["status"])
SLOTS = Gauge("breeze_buddy_pod_free_slots", "Agent processes that this pod could still start.")
DRAINING = Gauge("breeze_buddy_pod_draining", "1: this pod takes no more sessions.")
INFO = Gauge("breeze_buddy_pod_info", "1; which pod this is.", ["pod", "version", "method"])


class PodGauges:
    """What this pod has at the moment: `note` is called in its loop, `exposition` in a thread that answers a scrape."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self._processes = CollectorRegistry()
        self._processes.register(ProcessTree(lambda: self._groups))

    def note(self, pod: "Pod", agents: "AgentPool", rooms: "RoomPool") -> None:
        """Once a second; everything is in memory."""
        for status, number in (
            ("warming", agents.warming),
            ("available", agents.available),
            ("in_use", len(agents.busy())),
        ):
            AGENTS.labels(status).set(number)
        SLOTS.set(agents.free_slots)
        DRAINING.set(pod.draining)
        BREAKER.labels("daily").set(rooms.backoff.failures > 0)
        BREAKER.labels("agents").set(agents.backoff.failures > 0)
        BREAKER.labels("zygote").set(bool(agents.zygote.trouble))
        INFO.clear()  # the method may be another now
        INFO.labels(pod.name, pod.version, agents.zygote.method).set(1)
        self._groups = self._groups_of(agents)

    @staticmethod
    def _groups_of(agents: "AgentPool") -> dict[str, Group]:
        """Agents and their zygote are one group: whoever dies, its CPU stays with one of its parents."""
        me, zygote = os.getpid(), agents.zygote.pid
        pids = {agent.channel.pid for agent in agents.agents.values()} | {zygote}
        return {
            "runpools": Group({me}),
            "agents": Group({pid for pid in pids if pid}, parents={me, zygote} if zygote else {me}),
        }

    def exposition(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(REGISTRY) + generate_latest(self._processes)
