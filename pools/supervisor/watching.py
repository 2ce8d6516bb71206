"""What the supervisor's loop waits for: one selector, kept up to date with the agents and the zygote."""

import logging
import selectors
from collections.abc import Callable
from functools import partial
from typing import Any

from pools.processes.agent_in_hand import Agent
from pools.processes.agent_pool import AgentPool

logger = logging.getLogger(__name__)

Receive = Callable[[float], object]  # called with the supervisor's clock when there is something to read


class Watching:
    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._agents: dict[int, Agent] = {}  # by descriptor
        self._zygote: tuple[int | None, int | None] = (None, None)  # pid and descriptor

    def wait(self, timeout: float) -> list[Receive]:
        """What to call, once something has arrived or the time is over."""
        return [key.data for key, _ in self._selector.select(timeout)]

    def add(self, source: Any, receive: Receive) -> None:
        self._selector.register(source, selectors.EVENT_READ, receive)

    def forget(self, source: Any) -> None:
        try:
            self._selector.unregister(source)
        except KeyError:
            logger.debug("event=descriptor_was_not_watched fd=%s", source)

    def close(self) -> None:
        self._selector.close()

    def update(self, pool: AgentPool, read_zygote: Receive) -> None:
        """Watch the pool's agents and its zygote, and nothing that is over."""
        self._update_zygote(pool, read_zygote)
        for agent in pool.agents.values():
            if agent.channel.eof:
                self.forget_agent(agent)
                continue
            pidfd = agent.channel.pidfd
            if pidfd is not None and pidfd not in self._agents:
                self._watch(pool, agent, pidfd)  # readable when the process is gone
            if agent.channel.fileno() not in self._agents:
                self._watch(pool, agent, agent.channel.fileno())
            else:
                self._update_writing(agent)

    def _watch(self, pool: AgentPool, agent: Agent, descriptor: int) -> None:
        self._agents[descriptor] = agent
        self.add(descriptor, partial(pool.read, agent))

    def _update_zygote(self, pool: AgentPool, read_zygote: Receive) -> None:
        zygote = (pool.zygote.pid, pool.zygote.fileno())
        if zygote == self._zygote:  # by its pid too: a new one often has the descriptor that the former had
            return
        if (former := self._zygote[1]) is not None:
            self.forget(former)
        if (descriptor := zygote[1]) is not None:
            self.add(descriptor, read_zygote)
        self._zygote = zygote

    def _update_writing(self, agent: Agent) -> None:
        """A large session goes out in pieces, as its process reads."""
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if agent.channel.unsent else 0)
        key = self._selector.get_key(agent.channel.fileno())
        if key.events != wanted:
            self._selector.modify(agent.channel.fileno(), wanted, key.data)

    def forget_agent(self, agent: Agent) -> None:
        for descriptor in (agent.channel.fileno(), agent.channel.pidfd):
            if descriptor is not None and self._agents.get(descriptor) is agent:
                del self._agents[descriptor]
                self.forget(descriptor)
