"""A door between a process of the service and its database, which the test opens and shuts."""

import contextlib
import os
import select
import socket
import threading
from urllib.parse import urlsplit, urlunsplit

from django.db import connection

from tests.service import test_database_url


class DatabaseProxy:
    """Listens at `url` once it is open; before, connections to it are refused."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._stop_read, self._stop_write = os.pipe()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """The address of the test's database through the door."""
        parts = urlsplit(test_database_url())
        user, _, _ = parts.netloc.rpartition("@")
        port = self._listener.getsockname()[1]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}", query=""))

    def open(self) -> None:
        self._listener.listen()
        self._start(self._accept)

    def __enter__(self) -> "DatabaseProxy":
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stop_write, b"x")
        for thread in self._threads:
            thread.join(10)
        for fd in (self._stop_read, self._stop_write):
            os.close(fd)
        self._listener.close()

    def _start(self, work, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._stop_read], [], [])
            if self._stop_read in ready:
                return
            client, _ = self._listener.accept()
            self._start(self._forward, client, _database_socket())

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """Both ways, until one side closes or the test is over."""
        other = {client: server, server: client}
        with client, server, contextlib.suppress(ConnectionError):
            while True:
                ready, _, _ = select.select([client, server, self._stop_read], [], [])
                if self._stop_read in ready:
                    return
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        return
                    other[end].sendall(data)


def _database_socket() -> socket.socket:
    settings = connection.settings_dict
    host = settings["HOST"] or settings["OPTIONS"].get("host") or "localhost"
    port = int(settings["PORT"] or settings["OPTIONS"].get("port") or 5432)
    if host.startswith("/"):
        local = socket.socket(socket.AF_UNIX)
        local.connect(f"{host}/.s.PGSQL.{port}")
        return local
    return socket.create_connection((host, port))


