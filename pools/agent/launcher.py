"""The supervisor's side of starting agents: a zygote that forks them, or a fresh interpreter for each.

Only the standard library is imported here: the Django process never imports Pipecat.
"""

import array
import os
import socket
import subprocess
import sys
import weakref

from pools.agent.channel import AgentChannel
from pools.agent.config import AgentConfig
from pools.agent.environment import PROVIDERS, agent_environment
from pools.protocol import AgentExited, Fork, Forked, Message, ZygoteReady, decode, encode

__all__ = [
    "PROVIDERS",
    "AgentChannel",
    "AgentConfig",
    "Zygote",
    "ZygoteUnavailable",
    "agent_environment",
    "spawn",
]

_MAX_PACKET = 64 * 1024
_FD_BYTES = array.array("i").itemsize


class ZygoteUnavailable(Exception):
    """The zygote is gone, or so far behind that its queue of forks is full: spawn instead, or try again."""


class Zygote:
    """A fork server: `python -m pools.agent.zygote` with the bot imported and its models loaded.

    Agents that it has forked outlive it. Forks asked for while it warms up are made when it is ready. Nothing here
    blocks.
    """

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._agents: weakref.WeakValueDictionary[str, AgentChannel] = weakref.WeakValueDictionary()
        self.ready: ZygoteReady | None = None
        self.eof = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether its process exists. (It is no use after `eof`, which comes a moment earlier.)"""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it. `receive()` will bring ZygoteReady or WarmupFailed. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            self._process = _start_python("pools.agent.zygote", self._config, theirs)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._control = ours

    def fileno(self) -> int:
        """Its control socket, for a selector; -1 before `start` and after `stop`."""
        return self._control.fileno() if self._control else -1

    def fork(self, uuid: str) -> AgentChannel:
        """Ask for an agent. Returns at once; the agent says Ready, or its channel comes to EOF if the fork is refused.

        Raises ZygoteUnavailable.
        """
        if self._control is None or self.eof:
            raise ZygoteUnavailable("the zygote is gone")
        channel, theirs = AgentChannel.pair(uuid)
        try:
            socket.send_fds(self._control, [encode(Fork(agent=uuid))], [theirs.fileno()])
        except OSError as error:
            channel.close()
            raise ZygoteUnavailable(f"the zygote takes no more forks: {error.strerror}") from error
        finally:
            theirs.close()
        self._agents[uuid] = channel
        return channel

    def receive(self) -> list[Message]:
        """ZygoteReady, WarmupFailed, Forked, ForkRefused, AgentExited; the channels concerned are brought up to date.

        Sets `eof`. Raises ProtocolError.
        """
        messages: list[Message] = []
        while self._control is not None and not self.eof:
            try:
                packet, ancillary, _, _ = self._control.recvmsg(
                    _MAX_PACKET, socket.CMSG_SPACE(_FD_BYTES), socket.MSG_CMSG_CLOEXEC
                )
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionError:
                packet, ancillary = b"", []
            if not packet:
                self.eof = True
                break
            messages.append(self._take_in(packet, _file_descriptors(ancillary)))
        return messages

    def _take_in(self, packet: bytes, descriptors: list[int]) -> Message:
        message = decode(packet)
        if isinstance(message, ZygoteReady):
            self.ready = message
        elif isinstance(message, Forked) and descriptors:
            if channel := self._agents.get(message.agent):
                channel.identify(message.pid, descriptors.pop())
        elif isinstance(message, AgentExited) and (channel := self._agents.pop(message.agent, None)):
            channel.has_exited(message.status)
        for unclaimed in descriptors:  # of an agent that has been forgotten meanwhile
            os.close(unclaimed)
        return message

    def stop(self) -> None:
        """Let it go: it exits at the EOF. Its agents live on by their own rules."""
        self.eof = True
        if self._control is not None:
            self._control.close()

    def kill(self) -> None:
        """SIGKILL, for one that hangs. Its agents live on."""
        if self._process is not None:
            self._process.kill()
        self.stop()


def spawn(config: AgentConfig, uuid: str) -> AgentChannel:
    """Start an agent in a fresh interpreter: slow (imports and models), but needs no zygote. Raises OSError.

    Its first message is Ready or WarmupFailed.
    """
    ours, theirs = socket.socketpair()
    try:
        process = _start_python("pools.agent.spawn", config, theirs, uuid)
        return AgentChannel(uuid, ours, process)
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()


def _start_python(module: str, config: AgentConfig, control: socket.socket, *arguments: str) -> subprocess.Popen[bytes]:
    """Run one of our modules with `control` inherited, its number being the first argument, in a session of its own.

    Both of its output streams are our standard error: standard output may be somebody's table or JSON.
    """
    fd = control.fileno()
    return subprocess.Popen(
        [sys.executable, "-m", module, str(fd), *arguments],
        pass_fds=[fd],
        cwd=config.project_dir,
        env=config.process_environment(),
        stdin=subprocess.DEVNULL,
        stdout=2,
        start_new_session=True,
    )


def _file_descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % _FD_BYTES])
    return descriptors.tolist()
