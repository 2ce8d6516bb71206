"""Pods whose agent processes a test plays itself: a real supervisor and real control sockets, but no processes.

`PlayedPod` turns the supervisor; at the other end of each control socket a `PlayedAgent` says and does what the test
tells it, as the shell of an agent would (pools/agent/process.py). Time is the test's.
"""

import contextlib
import itertools
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.conf import settings

from pools.agent.channel import AgentChannel
from pools.agent.spool import SpoolFile
from pools.daily.client import DailyClient
from pools.daily.tokens import TokenSigner
from pools.models import Pod
from pools.processes.agent_pool import AgentPool
from pools.processes.handoff import HandOffs
from pools.protocol import (
    Ended,
    FrameReader,
    Go,
    Joined,
    Message,
    Ping,
    Pong,
    Ready,
    Start,
    Started,
    Stop,
    encode_frame,
)
from pools.supervisor.loop import Supervisor
from pools.supervisor_config import SupervisorConfig

_pids = itertools.count(5_000_000)  # of no real process
SIGNER = TokenSigner("a-daily-api-key-of-the-test-long-enough-for-hs256", "domain")


class PlayedChannel(AgentChannel):
    """Signals reach the played agent instead of a process."""

    killed = False

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.killed = True


class PlayedAgent:
    """The process's end. A killed one says and does nothing more; what it has said before may still be read."""

    def __init__(self, uuid: str, channel: PlayedChannel, control: socket.socket, config: SupervisorConfig) -> None:
        self.uuid = uuid
        self.pid = channel.pid = next(_pids)
        self.channel = channel
        self.alive = True
        self.started: Start | None = None  # has acknowledged this session
        self.was_told = False  # to go
        self.in_call = False  # since then, and until its bot is out of the room
        self.joined = False
        self._asked: Start | None = None
        self._spool: SpoolFile | None = None
        self._spool_dir = config.agent.spool_dir
        self._control = control
        self._control.setblocking(False)
        self._frames = FrameReader()
        self.is_ready = False

    @property
    def acting(self) -> bool:
        return self.alive and not self.channel.killed

    @property
    def busy(self) -> bool:
        return self._asked is not None

    @property
    def asked(self) -> bool:
        """Has a Start that it has not acknowledged."""
        return self._asked is not None and self.started is None

    def hear(self) -> None:
        """Take what the supervisor has said. At EOF all but a call ends at once."""
        while self.acting:
            try:
                data = self._control.recv(65536)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if not data:
                if not self.in_call:
                    self.die(0)
                return
            for message in self._frames.feed(data):
                self._take(message)

    def _take(self, message: Message) -> None:
        match message:
            case Start():
                assert self._asked is None, "a process is started for a second session"
                self._asked = message
            case Ping():
                self._say(Pong(message.number))
            case Stop():
                if self.in_call:
                    self.end_call(message.reason)
                elif self._asked is None:
                    self.die(0)
            case Go():
                assert self.started and (message.session, message.attempt) == self.call
                self.in_call = self.was_told = True
                if self._spool_dir:
                    self._spool = SpoolFile(self._spool_dir, *self.call)

    @property
    def call(self) -> tuple[str, int]:
        assert self.started is not None
        return self.started.session, self.started.attempt

    def act(self) -> None:
        """What it would do next, if nothing went wrong."""
        if not self.is_ready:
            self.get_ready()
        elif self.asked:
            self.acknowledge()
        elif self.in_call and not self.joined:
            self.join()
        elif self.in_call:
            self.end_call("bot_ended")
        elif self.over:
            self.die(0)

    @property
    def over(self) -> bool:
        """Its call has been and gone."""
        return self.was_told and not self.in_call

    def get_ready(self) -> None:
        self.is_ready = True
        self._say(Ready(pid=self.pid, version="v1"))

    def acknowledge(self) -> None:
        self.started = self._asked
        self._say(Started(*self.call))

    def join(self) -> None:
        self.joined = True
        self._say(Joined(self.call[0]))

    def end_call(self, reason: str) -> None:
        """The bot is out of its room; the report is made, whether or not a supervisor reads it."""
        self.in_call = False
        ended = Ended(self.call[0], reason, outcome="DONE")
        if self._spool:
            self._spool.write(ended)
        self._say(ended)

    def die(self, status: int = -signal.SIGKILL) -> None:
        self.alive = self.in_call = False
        self._control.close()
        if self._spool:
            os.close(self._spool._fd)
            self._spool = None
        self.channel.has_exited(status)

    def _say(self, message: Message) -> None:
        with contextlib.suppress(ConnectionError):  # the supervisor is gone
            self._control.send(encode_frame(message))


class PlayedZygote:
    """Stands where the pool's zygote keeper does: agents are made at once, and played."""

    method, trouble, can_start, at_once, pid, private_bytes = "zygote", "", True, 32, None, 0

    def __init__(self, config: SupervisorConfig) -> None:
        self._config = config
        self.agents: list[PlayedAgent] = []

    @property
    def zygote(self) -> "PlayedZygote":
        return self

    def fork(self, uuid: str) -> AgentChannel:
        channel, control = PlayedChannel.pair(uuid)
        self.agents.append(PlayedAgent(uuid, channel, control, self._config))
        return channel

    def fileno(self) -> None:
        return None

    def tend(self, now: float) -> None: ...

    def read(self, now: float) -> list[Message]:
        return []

    def hangs(self, now: float) -> None: ...

    def stop(self) -> None: ...


class PlayedDaily(DailyClient):
    """Daily, which also sees the bots of played agents. Where there is no sandbox it is not to be reached."""

    def __init__(self, bots: Callable[[], set[str]] = set, api_url: str = "http://127.0.0.1:9/v1") -> None:
        super().__init__(api_url, settings.DAILY_API_KEY, timeout=(1.0, 1.0))
        self._bots = bots

    def presence(self) -> dict[str, list[dict[str, Any]]]:
        return {"rooms of played agents": [{"userId": bot} for bot in self._bots()]}


class PlayedPod:
    """A real supervisor that the test turns, by the test's clock. It may be paused, crash, or be told to drain."""

    def __init__(self, config: SupervisorConfig, daily: DailyClient | None = None, now: float = 0.0) -> None:
        self.config = replace(config, memory_limit=0)  # played agents have none
        self.now = now
        self.supervisor = Supervisor(self.config, daily or PlayedDaily(), clock=lambda: self.now)
        self.supervisor.start()
        self.zygote = PlayedZygote(config)
        pool: Any = self.supervisor.agents
        pool.zygote = self.zygote
        self.paused = self.gone = False

    @property
    def row(self) -> Pod:
        return self.supervisor.pod

    @property
    def pool(self) -> AgentPool:
        return self.supervisor.agents

    @property
    def handoffs(self) -> HandOffs:
        return self.supervisor.handoffs

    @property
    def turning(self) -> bool:
        return not (self.paused or self.gone)

    def turn(self, now: float) -> None:
        """One turn of the supervisor; its agents hear what it has said. One that has nothing left to do closes."""
        self.now = now
        self.supervisor.run_once(0)
        self._tell_agents()
        if self.supervisor.finished:
            self.supervisor.close()
            self.gone = True
            self._tell_agents()

    def _tell_agents(self) -> None:
        for played in self.zygote.agents:
            played.hear()

    def crash(self) -> None:
        """SIGKILL: nothing is written, its agents see the end of their sockets."""
        if self.gone:
            return
        self.gone = True
        for agent in self.pool.agents.values():
            agent.channel.close()
        self.supervisor.release()
        self._tell_agents()
