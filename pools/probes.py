"""`/health` and `/health/ready` of a pod, for probes: a thread that answers from what the loop has left for it.

The thread touches no database. A loop that has not turned for a while is not alive, whatever the process says.
"""

import json
import logging
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

logger = logging.getLogger(__name__)

STUCK_S = 30.0


class Probes:
    """`turned()` at each turn of the loop, `judged()` with what readiness is."""

    def __init__(self, host: str, port: int) -> None:
        """Raises OSError if the port is taken."""
        self._last_turn = time.monotonic()
        self._readiness: tuple[int, dict[str, Any]] = (HTTPStatus.SERVICE_UNAVAILABLE, {"detail": "starting"})
        probes = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = probes.answer(self.path)
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Probes come every few seconds: no line each."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="probes", daemon=True).start()

    def turned(self) -> None:
        self._last_turn = time.monotonic()

    def judged(self, status: int, body: dict[str, Any]) -> None:
        self._readiness = status, body

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        still = time.monotonic() - self._last_turn
        match path.partition("?")[0].rstrip("/"):
            case "/health" if still < STUCK_S:
                return HTTPStatus.OK, {"status": "ok"}
            case "/health":
                return HTTPStatus.SERVICE_UNAVAILABLE, {"detail": f"the loop has not turned for {still:.0f} s"}
            case "/health/ready":
                return self._readiness
        return HTTPStatus.NOT_FOUND, {"detail": "Not found."}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
