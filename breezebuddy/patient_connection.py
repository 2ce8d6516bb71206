"""The state of a client's connection to gunicorn, and a socket whose reads and writes have deadlines."""

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

# In bytes.
LARGEST_HEAD = 64 * 1024
LARGEST_HELD_BODY = 1024 * 1024  # a larger body is read by a thread
LARGEST_HELD_ANSWER = 4 * 1024 * 1024  # the rest of a larger response is sent by a thread
BLOCK = 64 * 1024

# What is required of a client: each part has so many seconds, plus the time at so many bytes per second.
HEAD_S = 10.0
BODY_S = 30.0
BODY_RATE = 256 * 1024
ANSWER_S = 10.0
ANSWER_RATE = 16 * 1024  # a recording is listened to while it is sent

_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_NOT_ALL_AT_ONCE = re.compile(rb"\r\n(?:transfer-encoding|expect)[ \t]*:", re.IGNORECASE)


@dataclass(frozen=True)
class Framing:
    """The lengths of a request's head and body, in bytes. `body` is None if only reading it shows its length."""

    head: int
    body: int | None

    @classmethod
    def of(cls, received: bytes | bytearray) -> Self | None:
        """Find the lengths in what has arrived; None while the head is incomplete.

        They decide only what is waited for before a thread gets the request; gunicorn's parser reads it.
        """
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
        """Whether the loop waits for the whole body before a thread gets the request."""
        return self.body is not None and self.body <= LARGEST_HELD_BODY

    @property
    def body_seconds(self) -> float:
        return BODY_S + (self.body or 0) / BODY_RATE


class PatientSocket:
    """The socket that gunicorn's parser and responses use.

    Reads end at `read_until`. What the client does not take at once is kept in `unsent` and sent by the worker's loop,
    so that no thread waits for a slow client. Only for a large response does a thread wait, until `send_until`.
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
        """Do nothing: the socket never blocks; `read_until` and `send_until` bound each wait."""

    def settimeout(self, seconds: float | None) -> None:
        """Do nothing, like `setblocking`."""

    def gettimeout(self) -> None:
        return None

    def begin_answer(self) -> None:
        self._begun, self._sent = 0.0, 0

    @property
    def send_until(self) -> float:
        """The monotonic time by which the client has to take more of the response."""
        return ANSWER_S + min(self._taken, self._begun + self._sent / ANSWER_RATE)

    def recv(self, size: int) -> bytes:
        """Wait for data. Raises ConnectionResetError if none comes until `read_until`."""
        while True:
            try:
                return self._socket.recv(size)
            except BlockingIOError:
                self._wait(selectors.EVENT_READ, self.read_until)

    def receive_some(self) -> bytes | None:
        """Return what has arrived, without waiting; None if nothing has, b"" if the client has closed."""
        try:
            return self._socket.recv(BLOCK)
        except BlockingIOError:
            return None

    def send(self, data: bytes) -> int:
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes | memoryview) -> None:
        """Send data or keep it in `unsent`. Raises ConnectionResetError if the client is too slow to take it."""
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
        """Send as much as the client takes now; return how many bytes."""
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
    """A connection as the worker's loop sees it.

    `received` has arrived and is not parsed yet. At `deadline` (monotonic) the loop closes a connection that it waits
    for. `in_lane`: a thread that reads a large body has it.
    """

    sock: PatientSocket

    def __init__(self, cfg: Any, inner: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, inner, client, server)  # which sets it to not blocking
        self.sock = PatientSocket(inner)
        self.data_ready = True  # threads get a connection only once a request has arrived
        self.received = bytearray()
        self.deadline = time.monotonic() + HEAD_S
        self.framing: Framing | None = None
        self.in_lane = False
        self.drained = 0  # bytes that have arrived after the last response

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
        """Whether a thread can take over: nothing is left that the loop would wait for."""
        return self.has_large_head or self.is_complete or (self.framing is not None and not self.framing.is_held)

    @property
    def is_complete(self) -> bool:
        framing = self.framing
        return framing is not None and framing.body is not None and len(self.received) >= framing.head + framing.body

    def parse_received(self) -> None:
        """Give gunicorn's parser what has arrived; it reads the rest, if any, from the socket. Runs in a thread."""
        self.sock.read_until = self.deadline if self.in_lane else 0.0
        self.sock.begin_answer()
        self.init()
        self.parser.unreader.unread(bytes(self.received))
        self.received.clear()

    def wait_for_next(self) -> None:
        """Start waiting for the next request, the beginning of which may have arrived already."""
        self.framing, self.deadline = None, time.monotonic() + HEAD_S
        self.take(self.parser.unreader.take_buffered())
