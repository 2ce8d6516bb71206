"""The verdict of the dashboard on the pools and on each pod: a colour, a word and a sentence. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pools.decisions.targets import Pool
from pools.status.state import PodState, PoolState


class Level(StrEnum):
    """Colours of the dashboard."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    QUIET = "quiet"


@dataclass(frozen=True)
class Verdict:
    level: Level
    word: str
    sentence: str
    reasons: Sequence[str] = ()


def verdict(state: PoolState) -> Verdict:
    reasons = state.reasons()
    agents, rooms = state.agents, state.rooms
    if not any(pod.taking for pod in state.pods):
        return Verdict(Level.BAD, "Down", "No pod takes sessions: callers get 503.", reasons)
    if not agents.available or not rooms.available:
        missing = " and ".join(
            name for name, stock in (("agent process", agents), ("room", rooms)) if not stock.available
        )
        return Verdict(Level.BAD, "Cold", f"No {missing} in stock: the next start waits until one is made.", reasons)
    pairs = min(agents.available, rooms.available)
    sentence = f"The next {pairs} starts get a warm room and a warm agent process at once."
    if pairs == 1:
        sentence = "The next start gets a warm room and a warm agent process at once."
    return Verdict(Level.WARN if reasons else Level.GOOD, "Degraded" if reasons else "Warm", sentence, reasons)


@dataclass(frozen=True)
class Aim:
    """The size that a pool should have, and why it is held below it: paused, drained, or no pod runs."""

    size: int
    held: str = ""
    served: bool = True  # a pod takes sessions

    @classmethod
    def of(cls, state: PoolState, pool: Pool) -> "Aim":
        live = [pod for pod in state.pods if pod.live]
        agents = pool is Pool.AGENTS
        target = state.agents.pool_size if agents else state.rooms.pool_size
        configured = sum(pod.pod.agent_size if agents else pod.pod.room_size for pod in live)
        taking = [pod.pod for pod in live if pod.taking]
        if not taking:
            return cls(max(target, configured), "drained" if live else "no pod", served=False)
        if any(pod.agent_paused if agents else pod.room_paused for pod in taking):
            return cls(max(target, configured), "paused")
        return cls(target)

    def level(self, available: int) -> Level:
        if not self.served or (self.size and not available):
            return Level.BAD
        return Level.WARN if self.held or available < self.size else Level.GOOD


def pod_level(state: PodState, failed: int) -> Level:
    """The colour of a pod. `failed`: sessions that it has lost in the last hour."""
    if not state.live or state.pod.agent_trouble:
        return Level.BAD
    if failed:
        return Level.WARN
    if state.pod.draining:
        return Level.QUIET
    return Level.GOOD


def daily_level(trouble: str, left: float, limited: bool) -> Level:
    """The colour of Daily. `left`: share of the budget of calls, 0..1; `limited`: it ran out in the last hour."""
    if trouble:
        return Level.BAD
    return Level.WARN if limited or left < 0.25 else Level.GOOD
