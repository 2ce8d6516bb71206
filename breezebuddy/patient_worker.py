"""gunicorn's threaded worker, changed so that slow and silent clients occupy no thread.

gunicorn gives each connection a thread as soon as it is open, and the thread waits for the client. Here the worker's
loop waits instead: for the head of a request, for its body if that is not large, and for the client to take the
response. Large bodies are read by at most a quarter of the threads (lanes). Every wait has a deadline. When there are
too many connections, or too many bytes are held for them, the connection that has waited longest is closed.
"""

import contextlib
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import ThreadWorker

from breezebuddy.patient_connection import BLOCK, Connection

MOST_HELD = 32 * 1024 * 1024  # bytes that a worker holds of incomplete requests and unsent responses
LINGER_S = 2.0  # for a client to take the end of a response before its connection is closed
DRAIN_S = 0.05  # for reading the rest of a body that the view did not read
TELL_EVERY_S = 60.0  # at most one log line in so many seconds
REQUEST_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
LARGE_HEAD = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class PatientWorker(ThreadWorker):
    """Everything but `handle` and `_keepalive_after` runs in the worker's one loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[Connection, None] = {}  # wait for their clients; the oldest first
        self._in_line: deque[Connection] = deque()  # wait for a lane
        self._lanes = max(1, self.cfg.threads // 4)
        self._next_sweep = 0.0
        self._closed = 0
        self._tell_after = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        super().check_config(cfg, log)
        if cfg.is_ssl or cfg.proxy_protocol != "off" or cfg.http2_cleartext != "off":
            raise SystemExit("TLS, HTTP/2 and the PROXY protocol end at the proxy: this worker speaks HTTP/1.1 only")

    # --- a request arrives -----------------------------------------------------------------------------------

    def accept(self, listener: Any) -> None:
        try:
            inner, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # no descriptor is free
            self._close_oldest()
            return
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._close_oldest()
        self._begin(Connection(self.cfg, inner, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Connection, client: Any) -> None:
        try:
            self.keepalived_conns.remove(conn)
        except ValueError:  # closed meanwhile
            return
        self.poller.unregister(client)
        conn.wait_for_next()
        self._begin(conn)

    def _begin(self, connection: Connection) -> None:
        if not self._receive(connection):
            self._forget(connection)
        elif connection.is_ready:
            self._hand_over(connection)
        else:
            self._wait(connection, selectors.EVENT_READ, self._read)

    def _read(self, connection: Connection) -> None:
        if not self._receive(connection):
            self._close(connection)
            return
        if len(connection.received) > BLOCK:
            self._hold_no_more_than_allowed()
        if connection.is_ready and connection in self._waiting:
            self._stop_waiting(connection)
            self._hand_over(connection)

    @staticmethod
    def _receive(connection: Connection) -> bool:
        """Take what has arrived. Returns False if the client has closed."""
        try:
            data = connection.sock.receive_some()
        except OSError:
            return False
        if data:
            connection.take(data)
        return data != b""

    def _hand_over(self, connection: Connection) -> None:
        """Give a request to a thread. If a large body is still to come, it waits for a lane."""
        if connection.has_large_head:
            self._refuse(connection, LARGE_HEAD)
        elif connection.is_complete:
            self.enqueue_req(connection)
        else:
            self._in_line.append(connection)
            self._fill_lanes()

    def _fill_lanes(self) -> None:
        while self._lanes and self._in_line:
            connection = self._in_line.popleft()
            connection.in_lane = True
            self._lanes -= 1
            self.enqueue_req(connection)

    # --- a thread has it -------------------------------------------------------------------------------------

    def handle(self, conn: Connection) -> Any:
        conn.parse_received()
        return super().handle(conn)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """Keep a connection only if its body has arrived: no thread waits for what a view did not read."""
        conn.sock.read_until = 0.0
        try:
            return bool(keepalive and conn.parser.finish_body(deadline=time.monotonic() + DRAIN_S))
        except OSError:
            return False

    def finish_request(self, conn: Connection, fs: Any) -> None:
        if conn.in_lane:
            conn.in_lane = False
            self._lanes += 1
            self._fill_lanes()
        if conn.sock.fileno() < 0:  # a response failed in the middle, and gunicorn has closed the connection
            self._forget(conn)
        elif conn.sock.unsent:
            conn.deadline = conn.sock.send_until
            self._wait(conn, selectors.EVENT_WRITE, partial(self._send, fs))
            self._hold_no_more_than_allowed()
        else:
            self._after_answer(conn, fs)

    # --- an answer leaves ------------------------------------------------------------------------------------

    def _send(self, fs: Any, connection: Connection) -> None:
        try:
            connection.sock.send_unsent()
        except OSError:
            self._close(connection)
            return
        connection.deadline = connection.sock.send_until
        if not connection.sock.unsent:
            self._stop_waiting(connection)
            self._after_answer(connection, fs)

    def _after_answer(self, connection: Connection, fs: Any) -> None:
        try:
            keep = bool(fs.result())
        except Exception:  # gunicorn has logged it
            keep = False
        if not keep:
            self._linger(connection)
        elif connection.parser.unreader.buf.getvalue():  # the next request has begun
            connection.wait_for_next()
            self._begin(connection)
        else:
            super().finish_request(connection, fs)

    def _linger(self, connection: Connection) -> None:
        """Close a connection once the client has taken the response. Closing it with unread data would reset it."""
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._forget(connection)
            return
        connection.deadline = time.monotonic() + LINGER_S
        self._wait(connection, selectors.EVENT_READ, self._drain)

    def _drain(self, connection: Connection) -> None:
        try:
            data = connection.sock.receive_some()
        except OSError:
            data = b""
        connection.drained += len(data or b"")
        if data == b"" or connection.drained > BLOCK:
            self._close(connection)

    # --- deadlines and limits --------------------------------------------------------------------------------

    def murder_pending(self) -> None:
        """Close connections whose deadline is over. Called often by gunicorn; works once a second."""
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + 1
        for connection in [one for one in self._waiting if one.deadline <= now]:
            self._give_up(connection)
        while self._in_line and self._in_line[0].deadline <= now:
            self._refuse(self._in_line.popleft(), BUSY)
            self._closed += 1
        if self._closed and now >= self._tell_after:
            self.log.warning("event=slow_connections closed=%d", self._closed)
            self._closed, self._tell_after = 0, now + TELL_EVERY_S

    def _cap_keepalive(self, deadline: float) -> None:
        """When the worker stops: nobody begins a request any more."""
        super()._cap_keepalive(deadline)
        for connection in self._waiting:
            if connection.framing is None:
                connection.deadline = min(connection.deadline, deadline)

    def _give_up(self, connection: Connection) -> None:
        if connection.received:
            self._closed += 1
            self._stop_waiting(connection)
            self._refuse(connection, REQUEST_TIMEOUT)
        else:
            self._closed += bool(connection.sock.unsent)
            self._close(connection)

    def _hold_no_more_than_allowed(self) -> None:
        held = sum(connection.held for connection in self._waiting)
        for connection in list(self._waiting):
            if held <= MOST_HELD:
                return
            if connection.held > BLOCK:
                held -= connection.held
                self._close(connection)
                self._closed += 1

    def _close_oldest(self) -> None:
        if self._waiting:
            self._close(next(iter(self._waiting)))
        elif self.keepalived_conns:
            connection = self.keepalived_conns.popleft()
            self.poller.unregister(connection.sock)
            self._forget(connection)
        self._closed += 1

    # --- the poller ------------------------------------------------------------------------------------------

    def _wait(self, connection: Connection, event: int, then: Callable[[Connection], None]) -> None:
        def go_on(_: object) -> None:
            if connection in self._waiting:  # not closed by what came before in the same turn
                then(connection)

        self._waiting[connection] = None
        self.poller.register(connection.sock, event, go_on)

    def _stop_waiting(self, connection: Connection) -> None:
        del self._waiting[connection]
        self.poller.unregister(connection.sock)

    def _refuse(self, connection: Connection, answer: bytes) -> None:
        connection.received.clear()
        with contextlib.suppress(OSError):
            connection.sock.send_some(memoryview(answer))
        self._linger(connection)

    def _close(self, connection: Connection) -> None:
        self._stop_waiting(connection)
        self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        self.nr_conns -= 1
        util.close(connection.sock)
