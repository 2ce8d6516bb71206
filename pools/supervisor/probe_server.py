"""A small HTTP server for probes and scrapes: one thread, whatever its clients do.

Each connection has one request and ten seconds for it, and of too many connections the oldest is closed. So clients
that are slow or silent use up neither threads nor descriptors, and a probe is answered.
"""

import asyncio
import contextlib
import errno
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

PATIENCE_S = 10.0
MOST_CONNECTIONS = 64
LARGEST_HEAD = 16 * 1024
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


@dataclass(frozen=True)
class Answer:
    status: int
    content: bytes
    content_type: str

    @classmethod
    def json(cls, status: int, body: dict[str, Any]) -> Self:
        return cls(status, json.dumps(body).encode(), "application/json")

    def encoded(self) -> bytes:
        lines = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.content)}",
            "Connection: close",
        )
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.content


class ProbeServer:
    """Listens from now on. `answer(path, authorization)` is called in the server's thread."""

    def __init__(
        self, listener: socket.socket, answer: Callable[[str, str | None], Answer], patience: float = PATIENCE_S
    ) -> None:
        self._patience = patience
        self._listener = listener
        self._answer = answer
        self._open: dict[asyncio.Task[Any], None] = {}  # the oldest first
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._listener, limit=LARGEST_HEAD)
        await self._stop.wait()
        server.close()
        for task in self._open:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (we run in one)
        self._open[task] = None
        if len(self._open) > MOST_CONNECTIONS:
            next(iter(self._open)).cancel()
        try:
            async with asyncio.timeout(self._patience):
                await self._serve_request(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # its time is over, it is gone, or what it says has no end
        finally:
            del self._open[task]
            writer.transport.abort()

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        method, _, rest = first.partition(" ")
        if method == "GET":
            answer = self._answer(rest.partition(" ")[0], header(lines, "authorization"))
        else:
            answer = Answer.json(HTTPStatus.METHOD_NOT_ALLOWED, {"detail": "GET only"})
        writer.write(answer.encoded())
        writer.write_eof()
        await writer.drain()
        with contextlib.suppress(OSError):
            while await reader.read(LARGEST_HEAD):  # until the client has all of the answer, and closes
                pass


def header(lines: list[str], name: str) -> str | None:
    for line in lines:
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    return None


def listener(host: str, port: int) -> socket.socket:
    """At this address; empty: at all of the machine's, of IPv6 (if it has that) and of IPv4. Raises OSError."""
    if host:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    except OSError as error:
        if error.errno not in NO_IPV6:
            raise
        return socket.create_server(("0.0.0.0", port))  # noqa: S104 (probes come from outside the container)
