"""SIGTERM and SIGINT leave a note; the loop reads it at its next turn, which they bring about at once."""

import signal
import socket
from collections import deque


class SignalNotes:
    """`pending`, oldest first. `reader` becomes readable when there is one (a child's end wakes the loop too)."""

    def __init__(self) -> None:
        self.pending: deque[int] = deque()
        self.reader, self._writer = socket.socketpair()  # must live as long as the handlers
        for end in (self.reader, self._writer):
            end.setblocking(False)

    def take(self) -> None:
        """From now on signals come here."""
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: self.pending.append(number))
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def woke(self, now: float) -> None:
        self.reader.recv(4096)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self.reader.close()
        self._writer.close()
