"""What a pod tells about itself over HTTP: `/health`, `/health/ready`, `/health/warm` and `/metrics`.

A thread answers from what the loop has left for it, and touches no database. A loop that has not turned for a while is
not alive, whatever the process says.
"""

import os
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, generate_latest

from pools.metrics import REFUSAL, may_scrape
from pools.metrics.pod import LOOP_AGE
from pools.metrics.processes import Group, ProcessTree
from pools.models import Pod
from pools.processes.agent_pool import AgentPool
from pools.rooms.room_pool import RoomPool
from pools.supervisor.probe_server import Answer, ProbeServer, listener

STUCK_S = 30.0


class Probes:
    """`turned()` at each turn of the loop, `set_readiness()` at each poll."""

    def __init__(self, host: str, port: int, metrics: Callable[[], bytes], metrics_token: str) -> None:
        """`metrics` is called in the server's thread. Raises OSError if the port is taken. `host`: as of `listener`."""
        self._metrics = metrics
        self._metrics_token = metrics_token
        self._last_turn = time.monotonic()
        self._readiness: tuple[int, dict[str, Any]] = (HTTPStatus.SERVICE_UNAVAILABLE, {"detail": "starting"})
        self._short = "starting"  # of what, until the pools have once been full
        self._server = ProbeServer(listener(host, port), self.answer)
        self.port = self._server.port

    def turned(self) -> None:
        self._last_turn = time.monotonic()

    def set_readiness(self, status: int, body: dict[str, Any]) -> None:
        self._readiness = status, body

    def warmed(self, short: str) -> None:
        """What the pools are short of now; empty: they are full, and from then on this pod has been warm."""
        if self._short:
            self._short = short

    @property
    def has_been_warm(self) -> bool:
        return not self._short

    def answer(self, path: str, authorization: str | None) -> Answer:
        still = time.monotonic() - self._last_turn
        match path.partition("?")[0].rstrip("/"):
            case "/health" if still < STUCK_S:
                return Answer.json(HTTPStatus.OK, {"status": "ok"})
            case "/health":
                problem = f"the loop has not turned for {still:.0f} s"
                return Answer.json(HTTPStatus.SERVICE_UNAVAILABLE, {"detail": problem})
            case "/health/warm" if self._short and self._readiness[0] == HTTPStatus.OK:
                return Answer.json(HTTPStatus.SERVICE_UNAVAILABLE, {"detail": self._short})
            case "/health/ready" | "/health/warm":
                return Answer.json(*self._readiness)
            case "/metrics" if not may_scrape(authorization, self._metrics_token):
                return Answer.json(HTTPStatus.UNAUTHORIZED, {"detail": REFUSAL})
            case "/metrics":
                LOOP_AGE.set(still)
                return Answer(HTTPStatus.OK, self._metrics(), CONTENT_TYPE_LATEST)
        return Answer.json(HTTPStatus.NOT_FOUND, {"detail": "Not found."})

    def close(self) -> None:
        self._server.close()


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
        parents = {me, zygote} if zygote else {me}
        return {
            "runpools": Group({me}),
            "agents": Group({pid for pid in pids if pid}, parents, agents.private_bytes()),
        }

    def exposition(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(REGISTRY) + generate_latest(self._processes)


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
