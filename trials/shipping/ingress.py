"""A proxy before the API's replicas, which removes a replica some time after it has begun to stop."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

LAG_S = 2.0  # until every proxy of a cluster has heard that a replica stops
PASSED_ON = ("Content-Type", "Authorization", "Idempotency-Key")


class Replica(Protocol):
    """Of the API."""

    name: str
    ready: bool

    @property
    def port(self) -> int: ...


class Ingress:
    """Sends requests in turn to the replicas that were ready `LAG_S` ago, each over a new connection."""

    def __init__(self, replicas: Callable[[], Sequence[Replica]]) -> None:
        self._replicas = replicas
        self._seen: dict[Replica, float] = {}  # until when a replica that was ready is still on the list
        self._turn = itertools.count()
        ingress = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
                status, answer_headers, content = ingress.pass_on(self.command, self.path, body, headers)
                self.send_response(status)
                for name in ("Content-Type", "Retry-After"):
                    if name in answer_headers:
                        self.send_header(name, answer_headers[name])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing: a line per request would hide everything else."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = ("127.0.0.1", self._server.server_port)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def pass_on(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        listed = self._listed()
        if not listed:
            return 502, {"Content-Type": "application/json"}, b'{"detail": "no replica is ready"}'
        replica = listed[next(self._turn) % len(listed)]
        upstream = HTTPConnection("127.0.0.1", replica.port, timeout=20)
        try:
            upstream.request(method, path, body or None, headers | {"Host": "api"})
            answer = upstream.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        except OSError as error:
            detail = f'{{"detail": "{replica.name}: {type(error).__name__}"}}'
            return 502, {"Content-Type": "application/json"}, detail.encode()
        finally:
            upstream.close()

    def _listed(self) -> list[Replica]:
        now = time.monotonic()
        for replica in self._replicas():
            if replica.ready:
                self._seen[replica] = now + LAG_S
        return [replica for replica, until in self._seen.items() if until > now]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
