"""The supervisor's end of one agent: its control socket, its process, and proof of its death."""

import contextlib
import os
import select
import signal
import socket
import subprocess
from typing import Self

from pools.agent.descendants import end_group
from pools.protocol import FrameReader, Message, encode_frame

# One noisy agent must not keep the supervisor from the others: the rest is read at the next turn of its loop.
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
        # So that a Start with a large body goes out in one piece; the kernel grants what it allows.
        control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.uuid = uuid
        self.eof = False
        self.pid: int | None = None
        self.pidfd: int | None = None
        self._control = control
        self._frames = FrameReader()
        self._unsent = bytearray()
        self._unwritable = False
        self._process = process  # only of a spawned agent: it is our own child
        self._status: int | None = None
        self._exited = False
        self._kill_on_arrival: int | None = None
        if process is not None:
            self.identify(process.pid, os.pidfd_open(process.pid))

    @classmethod
    def pair(cls, uuid: str) -> tuple[Self, socket.socket]:
        """A channel for an agent that does not exist yet, and the agent's end of it."""
        ours, theirs = socket.socketpair()
        return cls(uuid, ours), theirs

    def __repr__(self) -> str:
        return f"<AgentChannel agent={self.uuid} pid={self.pid}>"

    def fileno(self) -> int:
        """The control socket, for a selector; -1 once closed."""
        return self._control.fileno()

    def identify(self, pid: int, pidfd: int) -> None:
        """The process exists: remember it, and carry out a kill that came before it was known."""
        self.pid, self.pidfd = pid, pidfd
        if self._kill_on_arrival is not None:
            self.kill(self._kill_on_arrival)

    # --- messages ----------------------------------------------------------------------------------------

    @property
    def unsent(self) -> bool:
        """Whether part of a message still waits for room in the socket; `flush()` when it is writable."""
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
        """Send what is left of the last message. True if nothing is left."""
        while self._unsent and not self.eof:
            try:
                sent = self._control.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:  # EPIPE, ECONNRESET, or closed by us. No EOF yet: its last words may still be unread
                self._unwritable = True
                self._unsent.clear()
                return False
            del self._unsent[:sent]
        return not (self.eof or self._unwritable)

    def receive(self) -> list[Message]:
        """The messages that have arrived; sets `eof`. Raises ProtocolError on what is no message."""
        self.flush()
        gone = self.exited  # asked before reading: its last words are in the socket by then
        messages: list[Message] = []
        for _ in range(_READ_AT_ONCE // 65536):
            try:
                data = self._control.recv(65536)
            except (BlockingIOError, InterruptedError):
                if gone:
                    self._hang_up()
                break
            except OSError:  # ECONNRESET: the agent died with something of ours unread
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
        """Send a signal to this very process, or to nobody if it is gone: a pid may be somebody else's by now."""
        if self.exited:
            return
        if self.pidfd is None:
            self._kill_on_arrival = number
            return
        with contextlib.suppress(ProcessLookupError):  # it died since we looked; `exited` will say so
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
        """As `os.waitstatus_to_exitcode` has it (negative: a signal); None while it lives, or if nobody knows."""
        if self.exited and self._status is None:
            self._reap()
        return self._status

    def has_exited(self, status: int) -> None:
        """The zygote has reaped it."""
        self._status = status
        self._exited = True

    def _reap(self) -> None:
        """Take its status if it is our child: spawned by us, or left to us, a subreaper, by a dead zygote."""
        if self.pidfd is None or self.pid is None:
            return
        try:
            if os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return
            end_group(self.pid)
            result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return  # the zygote's child: it reaps it and tells us
        if result is not None:
            self._status = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
        if self._process is not None:
            self._process.returncode = self._status  # or subprocess would wait for somebody else's pid one day

    def close(self) -> None:
        """Forget the agent. An idle one exits at the EOF; one in a call finishes it."""
        self.exit_status()  # leave no zombie
        self.eof = True
        self._control.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
