"""Which agent processes hang: found by pings, in memory, whether or not there is a database.

How often and how patiently depends on what there is to lose. For an idle process nobody waits. One on its way into the
room has a caller who waits for another if it hangs, and no call to lose: it is asked often and killed soon, though not
if it only gets no CPU. In a call pings are rare and patient.
"""

import logging

from pools.decisions import planner
from pools.processes.agent_in_hand import Agent
from pools.protocol import Ping
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)

PING_JOINING_S = 0.25
MEMORY_S = 10.0


class Pings:
    def __init__(self, config: SupervisorConfig, agents: dict[int, Agent]) -> None:
        """`agents`: the pool's own, as they come and go."""
        self._config, self._timings = config, config.timings
        self._agents = agents

    def kill_hanging(self, now: float) -> None:
        """Kill those that did not answer, or do not get warm. `now`: when they were last listened to."""
        for agent in self._agents.values():
            if agent.verdict or agent.channel.eof:
                continue
            if agent.ready is None:
                if now - max(agent.since, agent.forgiven) > self._config.warmup_timeout:
                    agent.condemn(f"not ready within {self._config.warmup_timeout:g} s")
            elif agent.ping_sent is not None and self._hangs(agent, now - agent.ping_sent, now):
                logger.warning("event=agent_hangs %s", agent)
                agent.condemn("hung: no answer to a ping")

    def ask(self, now: float) -> None:
        """Ping those whose turn it is."""
        for agent in self._agents.values():
            quiet = agent.ready is not None and agent.ping_sent is None and not agent.verdict and not agent.channel.eof
            if quiet and now >= agent.ping_due:
                self._ping(agent, now)

    def _ping(self, agent: Agent, now: float) -> None:
        agent.ping_number += 1
        in_call = self._in_call(agent, now)
        memory = now >= agent.memory_due and (in_call or agent.handoff is None)  # others have no time for it
        if memory:
            agent.memory_due = now + MEMORY_S
        agent.channel.send(Ping(agent.ping_number, memory))  # a full buffer is a hang too: the answer will be missed
        agent.ping_sent = now
        if in_call:
            agent.ping_due = now + self._timings.ping_in_call
        else:
            agent.ping_due = now + (PING_JOINING_S if _is_joining(agent) else self._timings.ping_idle)

    def _hangs(self, agent: Agent, silence: float, now: float) -> bool:
        if self._in_call(agent, now):
            return silence > self._timings.pong_in_call
        if agent.handoff is None or not _is_joining(agent):
            return agent.hangs(silence, self._timings.pong_idle)
        return agent.hangs(silence, planner.acknowledgement_timeout(agent.handoff.attempt))

    def _in_call(self, agent: Agent, now: float) -> bool:
        """Its bot is in the room, or (where that cannot be seen) has had the time to join."""
        handoff = agent.handoff
        return handoff is not None and (
            handoff.joined or (handoff.went_at is not None and now - handoff.went_at > self._config.join_timeout)
        )

    def restart_deadlines(self, now: float) -> None:
        """We were late ourselves: all deadlines start again."""
        for agent in self._agents.values():
            if agent.ping_sent is not None:
                agent.ping_sent = now
            if agent.ready is None:
                agent.forgiven = now
            if agent.handoff:
                agent.handoff.restart_deadline(now)

    def next_deadline(self) -> float:
        """When `kill_hanging` has something to do, on its clock."""
        waiting = (
            agent for agent in self._agents.values() if agent.ready and agent.ping_sent is None and not agent.verdict
        )
        return min((agent.ping_due for agent in waiting), default=float("inf"))


def _is_joining(agent: Agent) -> bool:
    return agent.handoff is not None and agent.handoff.told_to_go
