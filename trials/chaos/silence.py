"""A proxy before PostgreSQL that can fall silent: connections stay open, and it forwards nothing on them any more.

So it is when a network or a node is lost: no end of connection, no reset, and the server's own timeouts see nothing.
"""

import contextlib
import select
import socket
import threading
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit


class SilentProxy:
    """The proxy; it forwards while `speaks` is true. `url`: the database's address through it. `close` ends it."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._silenced = threading.Event()  # of the connections that there are; those to come get a new one
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        user, _, _ = self._parts.netloc.rpartition("@")
        netloc = f"{user}@127.0.0.1:{self._listener.getsockname()[1]}"
        return urlunsplit(self._parts._replace(netloc=netloc, query=""))

    def fall_silent(self) -> None:
        """Stop answers on existing and new connections."""
        self._silenced.set()

    def speak(self) -> None:
        """Make new connections work; old ones stay silent."""
        self._silenced = threading.Event()

    def close(self) -> None:
        self._closed.set()
        self._silenced.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client, self._silenced), daemon=True).start()

    def _serve(self, client: socket.socket, silenced: threading.Event) -> None:
        with client, contextlib.suppress(OSError):
            if silenced.is_set():
                self._closed.wait()
                return
            with self._database() as server:
                other = {client: server, server: client}
                while not silenced.is_set():
                    for end in select.select(list(other), [], [], 0.05)[0]:
                        data = end.recv(65536)
                        if silenced.is_set():
                            break
                        if not data:
                            return
                        other[end].sendall(data)
                self._closed.wait()  # both ends stay open: neither side may notice anything

    def _database(self) -> socket.socket:
        """Connect to PostgreSQL, by TCP or by the socket in the URL's directory."""
        directory = parse_qs(self._parts.query).get("host", [""])[0] or unquote(self._parts.hostname or "")
        if directory.startswith("/"):
            local = socket.socket(socket.AF_UNIX)
            local.connect(f"{directory}/.s.PGSQL.{self._parts.port or 5432}")
            return local
        return socket.create_connection((self._parts.hostname or "127.0.0.1", self._parts.port or 5432))
