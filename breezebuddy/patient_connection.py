"""A client's connection to gunicorn: what has arrived of its request, and a socket that waits for nobody for long."""

import math
import re
import selectors
import socket
import threading
import time
from dataclasses import dataclass
from errno import ECONNRESET
from typing import IO, Any, Self

from gunicorn.workers.gthread import TConn

LARGEST_HEAD = 64 * 1024
LARGEST_HELD_BODY = 1024 * 1024  # a larger one is read by a thread
LARGEST_HELD_ANSWER = 4 * 1024 * 1024  # the rest of a larger one is sent by a thread
BLOCK = 64 * 1024

# Seconds, and bytes a second on top of them: the least that a client has to do.
HEAD_S = 10.0
BODY_S = 30.0
BODY_RATE = 256 * 1024
ANSWER_S = 10.0
ANSWER_RATE = 16 * 1024  # a recording is listened to while it is sent

_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_NOT_ALL_AT_ONCE = re.compile(rb"\r\n(?:transfer-encoding|expect)[ \t]*:", re.IGNORECASE)


@dataclass(frozen=True)
class Framing:
    """Where a request ends: after `head` and `body` bytes. `body` is None if only reading it tells."""

    head: int
    body: int | None

    @classmethod
    def of(cls, received: bytes | bytearray) -> Self | None:
        """None: the head is not complete. It decides only what a thread waits for; gunicorn parses the request."""
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(received[: end + 4])
        length = _LENGTH.search(head)
        if _NOT_ALL_AT_ONCE.search(head):
            return cls(end + 4, None)
        return cls(end + 4, int(length[1]) if length else 0)

    @property
    def is_held(self) -> bool:
        """Whether the body is waited for before a thread has to do with it."""
        return self.body is not None and self.body <= LARGEST_HELD_BODY

    @property
    def body_seconds(self) -> float:
        return BODY_S + (self.body or 0) / BODY_RATE


class PatientSocket:
    """What gunicorn's parser and its responses see of a socket.

    Reads end at `read_until`. What the client does not take at once is kept in `unsent`, for the worker's loop to send,
    so that no thread waits for a client that does not read; only a large answer is waited for, within its time.
    """

    def __init__(self, inner: socket.socket) -> None:
        self._socket = inner
        self.read_until = math.inf
        self.unsent = bytearray()
        self._begun = self._taken = 0.0  # times of the answer: its first byte, and the last that the client took
        self._sent = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def setblocking(self, flag: bool) -> None:
        """Nothing: the socket never blocks, and `read_until` and `send_until` bound what waits for it."""

    def settimeout(self, seconds: float | None) -> None:
        """Nothing, as `setblocking`."""

    def gettimeout(self) -> None:
        return None

    def begin_answer(self) -> None:
        self._begun, self._sent = 0.0, 0

    @property
    def send_until(self) -> float:
        """The time by which the client has to take more."""
        return ANSWER_S + min(self._taken, self._begun + self._sent / ANSWER_RATE)

    def recv(self, size: int) -> bytes:
        """Raises ConnectionResetError if nothing comes in time."""
        while True:
            try:
                return self._socket.recv(size)
            except BlockingIOError:
                self._wait(selectors.EVENT_READ, self.read_until)

    def receive_some(self) -> bytes | None:
        """What is there now; None: nothing, b"": the client is gone."""
        try:
            return self._socket.recv(BLOCK)
        except BlockingIOError:
            return None

    def send(self, data: bytes) -> int:
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes | memoryview) -> None:
        """Raises ConnectionResetError if the client takes too little."""
        if not self._begun:
            self._begun = self._taken = time.monotonic()
        rest = memoryview(data)
        if not self.unsent:
            rest = rest[self.send_some(rest) :]
        self.unsent += rest
        while len(self.unsent) > LARGEST_HELD_ANSWER:
            self._wait(selectors.EVENT_WRITE, self.send_until)
            self.send_unsent()

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int | None = None) -> int:
        file.seek(offset)
        left = count if count is not None else math.inf
        while left > 0 and (block := file.read(int(min(left, BLOCK)))):
            self.sendall(block)
            left -= len(block)
        return file.tell() - offset

    def send_unsent(self) -> None:
        del self.unsent[: self.send_some(memoryview(bytes(self.unsent[: 4 * BLOCK])))]

    def send_some(self, data: memoryview) -> int:
        """As much as the client takes now."""
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            return 0
        self._sent += sent
        self._taken = time.monotonic()
        return sent

    def _wait(self, event: int, until: float) -> None:
        with selectors.PollSelector() as selector:
            selector.register(self._socket, event)
            if not selector.select(max(0.0, min(until - time.monotonic(), threading.TIMEOUT_MAX))):
                raise ConnectionResetError(ECONNRESET, "the client is too slow")


class Connection(TConn):
    """`received` has come and is not parsed yet; `deadline`: when the loop gives up what it waits for."""

    sock: PatientSocket

    def __init__(self, cfg: Any, inner: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, inner, client, server)  # which sets it to not blocking
        self.sock = PatientSocket(inner)
        self.data_ready = True  # a thread has it only when a request is there
        self.received = bytearray()
        self.deadline = time.monotonic() + HEAD_S
        self.framing: Framing | None = None
        self.in_lane = False
        self.drained = 0  # bytes that have come after the last answer

    @property
    def held(self) -> int:
        return len(self.received) + len(self.sock.unsent)

    def take(self, data: bytes) -> None:
        self.received += data
        if self.framing is None:
            if self.received[:1] in (b"\r", b"\n"):  # empty lines before a request
                self.received = self.received.lstrip(b"\r\n")
            self.framing = Framing.of(self.received)
            if self.framing is not None:
                self.deadline = time.monotonic() + self.framing.body_seconds

    @property
    def has_large_head(self) -> bool:
        return self.framing is None and len(self.received) > LARGEST_HEAD

    @property
    def is_ready(self) -> bool:
        """The loop has nothing to wait for any more."""
        return self.has_large_head or self.is_complete or (self.framing is not None and not self.framing.is_held)

    @property
    def is_complete(self) -> bool:
        framing = self.framing
        return framing is not None and framing.body is not None and len(self.received) >= framing.head + framing.body

    def parse_received(self) -> None:
        """In a thread: give gunicorn's parser what has come. It reads on from the socket only if that was not all."""
        self.sock.read_until = self.deadline if self.in_lane else 0.0
        self.sock.begin_answer()
        self.init()
        self.parser.unreader.unread(bytes(self.received))
        self.received.clear()

    def wait_for_next(self) -> None:
        """For the next request, whose beginning may be there already."""
        self.framing, self.deadline = None, time.monotonic() + HEAD_S
        self.take(self.parser.unreader.take_buffered())
