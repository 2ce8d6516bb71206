"""Starts agent processes for the supervisor: a zygote forks them, or each gets a fresh interpreter.

Only the standard library is imported here, because the Django process must never import Pipecat.
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
    """The zygote is gone, or its queue of forks is full. The caller may spawn instead, or try again."""


class Zygote:
    """The supervisor's handle on its fork server, `python -m pools.agent.zygote`.

    Agents outlive the zygote that forked them. Forks that are requested during its warm-up are made once it is ready.
    No method blocks.
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
        """Whether its process exists. `eof` is known a moment earlier; after it the zygote is useless."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process. `receive()` later returns ZygoteReady or WarmupFailed. Raises OSError."""
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
        """Return its control socket, for a selector; -1 before `start` and after `stop`."""
        return self._control.fileno() if self._control else -1

    def fork(self, uuid: str) -> AgentChannel:
        """Request a fork. Returns at once; later the channel brings Ready, or EOF if the fork was refused.

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
        """Return the messages that have arrived, and update the channels that they concern.

        These are ZygoteReady, WarmupFailed, Forked, ForkRefused and AgentExited. Sets `eof` when the zygote is gone.
        Raises ProtocolError.
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
        for unclaimed in descriptors:  # the supervisor has dropped this agent meanwhile
            os.close(unclaimed)
        return message

    def stop(self) -> None:
        """Close the socket; the zygote exits at EOF. Its agents live on by their own rules."""
        self.eof = True
        if self._control is not None:
            self._control.close()

    def kill(self) -> None:
        """Kill a zygote that hangs (SIGKILL). Its agents live on."""
        if self._process is not None:
            self._process.kill()
        self.stop()


def spawn(config: AgentConfig, uuid: str) -> AgentChannel:
    """Start an agent in a fresh interpreter. This is slow (imports, models) but needs no zygote. Raises OSError.

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
    """Run a module in a process session of its own. It inherits `control`.

    Its first arguments are the number of `control` and the pod, by which `pools.kernel.process_table` finds it.

    Both of its output streams go to our standard error, because our standard output may be a table or JSON.
    """
    fd = control.fileno()
    return subprocess.Popen(
        [sys.executable, "-m", module, str(fd), config.pod, *arguments],
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
