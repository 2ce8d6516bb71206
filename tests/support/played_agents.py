"""Pods whose agent processes a test plays itself: real rows, hand-offs, pools and control sockets, but no processes.

`PlayedPod` turns the supervisor's steps in its order; at the other end of each control socket a `PlayedAgent` says and
does what the test tells it, as the shell of an agent would (pools/agent/process.py). Time is the test's.
"""

import contextlib
import itertools
import os
import signal
import socket
from typing import Any

from pools.agent.channel import AgentChannel
from pools.agent.spool import SpoolFile
from pools.daily.tokens import TokenSigner
from pools.models import VoiceSession
from pools.processes.agent_pool import DRAINED, AgentPool
from pools.processes.handoff import HandOffs
from pools.protocol import Ended, FrameReader, Go, Joined, Message, Ready, Start, Started, Stop, encode_frame
from pools.supervisor.pod_identity import register
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

    method, trouble, can_start, at_once = "zygote", "", True, 32

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


class PlayedPod:
    """A supervisor without its loop: `turn` does one turn's steps. It may be paused, crash, or be told to drain."""

    def __init__(self, config: SupervisorConfig, number: int) -> None:
        self.config = config
        self.row = register(config, number)
        self.pool = AgentPool(config, self.row)
        self.zygote = PlayedZygote(config)
        pool: Any = self.pool
        pool.zygote = self.zygote
        self.handoffs = HandOffs(config, self.row, self.pool, lambda: SIGNER)
        self._number = number
        self.paused = self.draining = self.drained = self.reaped = self.gone = False

    @property
    def turning(self) -> bool:
        return not (self.paused or self.gone)

    @property
    def finished(self) -> bool:
        return (self.reaped or self.drained) and not self.pool.agents

    def turn(self, now: float) -> None:
        for agent in self.pool.agents.values():
            if not agent.channel.eof:
                self.pool.read(agent, now)
        self.handoffs.record(now)
        for agent in self.pool.dead_processes():
            self.handoffs.process_died(agent, now)
            self.pool.remove(agent, now)
        self.pool.record_ready(now)
        if not self.reaped:
            self.handoffs.poll(now, draining=self.draining)
            self._level(now)
            self.beat()
        self.pool.agree_with_rows()
        self._tell_agents()

    def _level(self, now: float) -> None:
        if not self.draining:
            self.pool.replenish(now)
            return
        if not self.row.draining:
            self.row.drain()
            self.row.draining = True
            self.handoffs.poll(now, draining=True)
        self.pool.end_stock(DRAINED)
        self.drained = not VoiceSession.objects.assigned().filter(agent_process__pod=self.row).exists()

    def beat(self) -> None:
        slots = 2 * self.pool.free_slots + self._number % 2  # no draw between two pods: the claim would throw dice
        self.reaped = not self.row.beat(free_slots=slots, start_method="zygote", agent_trouble="")
        for agent in self.pool.agents.values() if self.reaped else ():
            if agent.handoff is None or not agent.handoff.told_to_go:
                agent.condemn("pod was reaped")

    def _tell_agents(self) -> None:
        for played in self.zygote.agents:
            played.hear()

    def crash(self) -> None:
        """SIGKILL: nothing is written, its agents see the end of their sockets."""
        self.gone = True
        for agent in self.pool.agents.values():
            agent.channel.close()
        self._tell_agents()
