"""Agent processes that are not there: at the other end of each control socket a thread answers as their shell would.

It answers as fast as the real ones (an idle process acknowledges within a millisecond), and costs nothing else: what is
measured is the supervisors and their database.
"""

import contextlib
import heapq
import itertools
import os
import selectors
import signal
import socket
import threading
import time
from collections import deque

from pools.agent.channel import AgentChannel
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

_pids = itertools.count(5_000_000)  # of no real process


class StubChannel(AgentChannel):
    """The channel to a simulated agent. A signal closes the agent's socket."""

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(OSError):  # closed already
            self._control.shutdown(socket.SHUT_RDWR)


class StubAgent:
    def __init__(self, channel: StubChannel, control: socket.socket) -> None:
        control.setblocking(False)
        self.channel = channel
        self.control = control
        self.frames = FrameReader()
        self.session = ""

    def say(self, message: Message) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone
            self.control.send(encode_frame(message))


class StubAgents:
    """All simulated agents of one process. `call_s`: how long a call lasts."""

    def __init__(self, call_s: float) -> None:
        self._call_s = call_s
        self._selector = selectors.DefaultSelector()
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._new: deque[StubAgent] = deque()
        self._ends: list[tuple[float, int, StubAgent]] = []
        self._number = itertools.count()
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        threading.Thread(target=self._serve, name="agents", daemon=True).start()

    def start(self, uuid: str) -> AgentChannel:
        channel, control = StubChannel.pair(uuid)
        channel.pid = next(_pids)
        agent = StubAgent(channel, control)
        agent.say(Ready(pid=channel.pid, version=""))
        self._new.append(agent)
        os.eventfd_write(self._wakeup, 1)
        return channel

    def _serve(self) -> None:
        while True:
            timeout = max(0.0, self._ends[0][0] - time.monotonic()) if self._ends else None
            for key, _ in self._selector.select(timeout):
                if key.data is None:
                    os.eventfd_read(self._wakeup)
                else:
                    self._hear(key.data)
            while self._new:
                agent = self._new.popleft()
                self._selector.register(agent.control, selectors.EVENT_READ, agent)
            while self._ends and self._ends[0][0] <= time.monotonic():
                self._hang_up(heapq.heappop(self._ends)[2])

    def _hear(self, agent: StubAgent) -> None:
        try:
            data = agent.control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._exit(agent)
            return
        for message in agent.frames.feed(data):
            self._answer(agent, message)

    def _answer(self, agent: StubAgent, message: Message) -> None:
        match message:
            case Ping():
                agent.say(Pong(message.number))
            case Start():
                agent.session = message.session
                agent.say(Started(message.session, message.attempt))
            case Go():
                agent.say(Joined(message.session))
                heapq.heappush(self._ends, (time.monotonic() + self._call_s, next(self._number), agent))
            case Stop() if agent.session:
                self._hang_up(agent)
            case Stop():
                self._exit(agent)

    def _hang_up(self, agent: StubAgent) -> None:
        if agent.control.fileno() != -1:
            agent.say(Ended(agent.session, "caller_left"))
            self._exit(agent)

    def _exit(self, agent: StubAgent) -> None:
        if agent.control.fileno() != -1:
            self._selector.unregister(agent.control)
            agent.channel.has_exited(0)
            agent.control.close()


class StubZygote:
    """Replaces a pod's zygote keeper: agents are ready at once."""

    method, trouble, can_start, at_once, pid, private_bytes = "zygote", "", True, 32, None, 0

    def __init__(self, agents: StubAgents) -> None:
        self._agents = agents

    @property
    def zygote(self) -> "StubZygote":
        return self

    def fork(self, uuid: str) -> AgentChannel:
        return self._agents.start(uuid)

    def fileno(self) -> None:
        return None

    def tend(self, now: float) -> None: ...

    def read(self, now: float) -> list[Message]:
        return []

    def hangs(self, now: float) -> None: ...

    def stop(self) -> None: ...
