"""What a pod has at the moment, for Prometheus: the gauges that its loop sets."""

import os

from prometheus_client import REGISTRY, CollectorRegistry, Gauge, generate_latest

from pools.metrics.processes import Group, ProcessTree
from pools.models import Pod
from pools.processes.agent_pool import AgentPool
from pools.rooms.room_pool import RoomPool

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

    def note(self, pod: Pod, agents: AgentPool, rooms: RoomPool) -> None:
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
    def _groups_of(agents: AgentPool) -> dict[str, Group]:
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
