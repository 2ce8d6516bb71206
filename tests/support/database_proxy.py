"""A door between a process of the service and its database, which the test opens and shuts."""

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from django.db import connection

from tests.support.programs import database_url, free_port


class DatabaseProxy:
    """Forwards to the test's database while it is open; shut (as at first), it refuses connections and has none."""

    def __init__(self) -> None:
        self._port = free_port()
        self._threads: list[threading.Thread] = []
        self._stop: tuple[int, int] | None = None

    @property
    def url(self) -> str:
        """The address of the test's database through the door."""
        parts = urlsplit(database_url())
        user, _, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self._port}", query=""))

    def open(self) -> None:
        self._stop = os.pipe()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen()
        self._start(self._accept, listener)

    def shut(self) -> None:
        """Connections break, as when the server stops."""
        if self._stop is None:
            return
        os.write(self._stop[1], b"x")
        for thread in self._threads:
            thread.join(10)
        self._threads.clear()
        for end in self._stop:
            os.close(end)
        self._stop = None

    def __enter__(self) -> "DatabaseProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()

    # --- threads -------------------------------------------------------------------------------------------

    def _start(self, work: Callable[..., None], *sockets: socket.socket) -> None:
        thread = threading.Thread(target=work, args=sockets, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while not self._stopped(listener):
                self._start(self._forward, listener.accept()[0], _database_socket())

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """Both ways, until one side closes."""
        other = {client: server, server: client}
        with client, server, contextlib.suppress(ConnectionError):
            while not self._stopped(client, server):
                for end in select.select(list(other), [], [], 0)[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    other[end].sendall(data)

    def _stopped(self, *sockets: socket.socket) -> bool:
        """Wait for one of the sockets; true if the door is shut."""
        if self._stop is None:
            return True
        stop = self._stop[0]
        return stop in select.select([*(end.fileno() for end in sockets), stop], [], [])[0]


def _database_socket() -> socket.socket:
    settings = connection.settings_dict
    host = settings["HOST"] or settings["OPTIONS"].get("host") or "localhost"
    port = int(settings["PORT"] or settings["OPTIONS"].get("port") or 5432)
    if host.startswith("/"):
        local = socket.socket(socket.AF_UNIX)
        local.connect(f"{host}/.s.PGSQL.{port}")
        return local
    return socket.create_connection((host, port))
