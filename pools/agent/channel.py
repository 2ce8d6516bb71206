"""The supervisor's handle on one agent: its control socket, its process, and proof of its death."""

import contextlib
import os
import select
import signal
import socket
import subprocess
from typing import Self

from pools.agent.descendants import end_group
from pools.protocol import FrameReader, Message, encode_frame

# Read at most so much per turn of the loop, so that one noisy agent does not keep the supervisor from the others.
_READ_AT_ONCE = 256 * 1024
_SEND_BUFFER = 1024 * 1024


class AgentChannel:
    """One agent process, as its supervisor sees it. Nothing here blocks.

    `eof` becomes true when the agent has closed its end, or when its process is gone and all that it has said is read:
    a child of its bot may hold the other end open. `exited` is proof: the process is gone. `pid` and `pidfd` are None
    until the zygote has answered.
    """

    def __init__(self, uuid: str, control: socket.socket, process: subprocess.Popen[bytes] | None = None) -> None:
        control.setblocking(False)
        # A larger buffer, so that a Start with a large body is sent at once; the kernel caps the size.
        control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.uuid = uuid
        self.eof = False
        self.pid: int | None = None
        self.pidfd: int | None = None
        self._control = control
        self._frames = FrameReader()
        self._unsent = bytearray()
        self._unwritable = False
        self._process = process  # only for a spawned agent, which is our own child
        self._status: int | None = None
        self._exited = False
        self._kill_on_arrival: int | None = None
        if process is not None:
            self.identify(process.pid, os.pidfd_open(process.pid))

    @classmethod
    def pair(cls, uuid: str) -> tuple[Self, socket.socket]:
        """Return a channel for an agent that does not exist yet, and the agent's end of its socket."""
        ours, theirs = socket.socketpair()
        return cls(uuid, ours), theirs

    def __repr__(self) -> str:
        return f"<AgentChannel agent={self.uuid} pid={self.pid}>"

    def fileno(self) -> int:
        """Return the control socket, for a selector; -1 once closed."""
        return self._control.fileno()

    def identify(self, pid: int, pidfd: int) -> None:
        """Record the agent's process, and carry out a kill that was requested before the process was known."""
        self.pid, self.pidfd = pid, pidfd
        if self._kill_on_arrival is not None:
            self.kill(self._kill_on_arrival)

    # --- messages ----------------------------------------------------------------------------------------

    @property
    def unsent(self) -> bool:
        """Whether part of a message is not sent yet; call `flush()` when the socket is writable."""
        return bool(self._unsent)

    def send(self, message: Message) -> bool:
        """Send a message. False: the agent is gone, or does not read and its buffer is full.

        A message larger than the free buffer is kept and sent with the next calls of `flush`, `send` or `receive`.
        """
        if self.eof or not self.flush():
            return False
        self._unsent += encode_frame(message)
        return self.flush() or not (self.eof or self._unwritable)

    def flush(self) -> bool:
        """Send what is left of the last message. Returns True if nothing is left."""
        while self._unsent and not self.eof:
            try:
                sent = self._control.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:  # EPIPE, ECONNRESET, or closed by us. Not EOF yet: its last messages may be unread
                self._unwritable = True
                self._unsent.clear()
                return False
            del self._unsent[:sent]
        return not (self.eof or self._unwritable)

    def receive(self) -> list[Message]:
        """Return the messages that have arrived, and set `eof`. Raises ProtocolError for an invalid one."""
        self.flush()
        gone = self.exited  # checked before reading: if it has exited, its last messages are in the socket
        messages: list[Message] = []
        for _ in range(_READ_AT_ONCE // 65536):
            try:
                data = self._control.recv(65536)
            except (BlockingIOError, InterruptedError):
                if gone:
                    self._hang_up()
                break
            except OSError:  # ECONNRESET: the agent died before it had read everything
                data = b""
            if not data:
                self._hang_up()
                break
            messages += self._frames.feed(data)
        return messages

    def _hang_up(self) -> None:
        self.eof = True
        self._unsent.clear()

    # --- process -----------------------------------------------------------------------------------------

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to this very process (by its pidfd), or to none if it is gone: its pid may be reused."""
        if self.exited:
            return
        if self.pidfd is None:
            self._kill_on_arrival = number
            return
        with contextlib.suppress(ProcessLookupError):  # it has just died; `exited` will show it
            signal.pidfd_send_signal(self.pidfd, number)

    @property
    def exited(self) -> bool:
        """Whether the process is known to be gone."""
        if not self._exited and self.pidfd is not None:
            poll = select.poll()
            poll.register(self.pidfd, select.POLLIN)
            self._exited = bool(poll.poll(0))
        return self._exited

    def exit_status(self) -> int | None:
        """Return the exit status (negative: a signal's number); None while it lives, or if it is unknown."""
        if self.exited and self._status is None:
            self._reap()
        return self._status

    def has_exited(self, status: int) -> None:
        """Record the status of an agent that the zygote has reaped."""
        self._status = status
        self._exited = True

    def _reap(self) -> None:
        """Wait for the process if it is our child: spawned by us, or inherited from a dead zygote."""
        if self.pidfd is None or self.pid is None:
            return
        try:
            if os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return
            end_group(self.pid)
            result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return  # it is the zygote's child, which reaps it and reports the status
        if result is not None:
            self._status = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
        if self._process is not None:
            self._process.returncode = self._status  # otherwise subprocess would later wait for a reused pid

    def close(self) -> None:
        """Close the socket. An idle agent exits at EOF; one in a call finishes it."""
        self.exit_status()  # leave no zombie
        self.eof = True
        self._control.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
