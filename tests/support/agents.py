"""Agent processes in tests: real ones, under either start method. No Django and no Pipecat in here."""

import os
import select
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pools.agent.launcher import AgentChannel, AgentConfig, Zygote, agent_environment, spawn
from pools.protocol import Go, Joined, Message, Ready, Start, Started, ZygoteReady
from tests.support.waiting import wait_until

PROJECT = Path(__file__).resolve().parent.parent.parent
BOTS = PROJECT / "tests" / "bots"
START_METHODS = ("zygote", "spawn")
DEADLINE = 45.0
WARMUP_DEADLINE = 90.0  # importing Pipecat and its services takes seconds of processor time
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJyIjoiYS1yb29tIn0.c2lnbmF0dXJl"
PROVIDER_KEY = "sk-THE-PROVIDER-KEY"

M = TypeVar("M", bound=Message)
T = TypeVar("T")


def config(bot: str = "scripted", bot_dir: Path = BOTS, spool_dir: Path | None = None, pod: str = "") -> AgentConfig:
    environ = {**os.environ, "OPENAI_API_KEY": PROVIDER_KEY, "DATABASE_URL": "postgres://secret"}
    return AgentConfig(
        bot=bot,
        bot_dir=bot_dir,
        project_dir=PROJECT,
        version="v7",
        pod=pod,
        spool_dir=spool_dir,
        env=agent_environment(environ, ["OPENAI_API_KEY"]),
    )


class Conversation:
    """Messages of an agent or a zygote, one after the other."""

    def __init__(self, peer: AgentChannel | Zygote) -> None:
        self.peer = peer
        self._arrived: list[Message] = []

    def next(self, deadline: float = DEADLINE) -> Message | None:
        """The next message; None at EOF. Fails after `deadline` seconds."""
        until = time.monotonic() + deadline
        while not self._arrived:
            if self.peer.eof:
                return None
            pidfd = getattr(self.peer, "pidfd", None)  # readable when the process is gone
            heard = [self.peer] if pidfd is None else [self.peer, pidfd]
            if not select.select(heard, [], [], max(0.0, until - time.monotonic()))[0]:
                raise AssertionError(f"{self.peer!r} said nothing for {deadline:g} s")
            self._arrived += self.peer.receive()
        return self._arrived.pop(0)

    def expect(self, kind: type[M], deadline: float = DEADLINE) -> M:
        """The next message, which has to be of this kind."""
        message = self.next(deadline)
        assert isinstance(message, kind), f"expected {kind.__name__}, got {message!r}"
        return message

    def expect_eof(self, deadline: float = DEADLINE) -> None:
        message = self.next(deadline)
        assert message is None, f"expected the end, got {message!r}"


class Agent(Conversation):
    """An agent that has said Ready (unless told otherwise)."""

    peer: AgentChannel

    def send(self, message: Message) -> bool:
        return self.peer.send(message)

    def start(self, body: dict[str, Any] | None = None, **values: Any) -> Start:
        """Hand it a session: Start and its acknowledgement."""
        room_url = values.get("room_url", "https://example.daily.co/a-room")
        start = Start(
            **{
                "session": str(uuid.uuid4()),
                "attempt": 1,
                "room_url": room_url,
                "sandbox": room_url.startswith("http://"),
                "token": TOKEN,
                "body": body or {},
                "session_limit": 60.0,
                **values,
            }
        )
        assert self.send(start)
        wait_until(self.peer.flush)
        started = self.expect(Started)
        assert (started.session, started.attempt) == (start.session, start.attempt)
        return start

    def go(self, body: dict[str, Any] | None = None, **values: Any) -> Start:
        """The whole hand-off; the bot is called."""
        start = self.start(body, **values)
        assert self.send(Go(start.session, start.attempt))
        if start.sandbox:
            self.expect(Joined)
        return start

    def wait_for_exit(self, deadline: float = DEADLINE) -> None:
        wait_until(lambda: self.peer.exited, deadline)


class Agents:
    """Starts agents of one configuration; ends what is left of them with the test."""

    def __init__(self, method: str, config: AgentConfig) -> None:
        self.method = method
        self.config = config
        self._zygote: Zygote | None = None
        self._agents: list[Agent] = []
        if method == "zygote":
            self._zygote = Zygote(config)
            self._zygote.start()
            self.zygote_says = Conversation(self._zygote)
            self.zygote_ready = self.zygote_says.expect(ZygoteReady, WARMUP_DEADLINE)

    @property
    def zygote(self) -> Zygote:
        assert self._zygote is not None, "agents are spawned here"
        return self._zygote

    def start(self) -> Agent:
        """An agent that is ready."""
        agent = self.start_unready()
        agent.expect(Ready)
        self.wait_until(lambda: agent.peer.pid)
        return agent

    def start_unready(self) -> Agent:
        name = str(uuid.uuid4())
        agent = Agent(self._zygote.fork(name) if self._zygote else spawn(self.config, name))
        self._agents.append(agent)
        return agent

    def wait_until(self, condition: Callable[[], T], deadline: float = DEADLINE) -> T:
        """As `tests.support.waiting.wait_until`, taking in what the zygote has to say meanwhile."""

        def settled() -> T:
            if self._zygote:
                self._zygote.receive()
            return condition()

        return wait_until(settled, deadline)

    def close(self) -> None:
        for agent in self._agents:
            agent.peer.kill()
            self.wait_until(partial(_is_gone, agent.peer))
            agent.peer.close()
        if self._zygote:
            self._zygote.kill()
            wait_until(lambda: not self.zygote.alive)


def _is_gone(channel: AgentChannel) -> bool:
    never_was = channel.eof and channel.pid is None  # the fork was refused
    return channel.exited or never_was


@contextmanager
def running_agents(method: str, config: AgentConfig) -> Iterator[Agents]:
    agents = Agents(method, config)
    try:
        yield agents
    finally:
        agents.close()


@contextmanager
def standard_error(descriptor: int) -> Iterator[None]:
    """Processes started in this block have `descriptor` as their standard error."""
    saved = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
