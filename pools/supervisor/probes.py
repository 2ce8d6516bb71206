"""`/health`, `/health/ready`, `/health/warm` and `/metrics` of a pod: a thread that answers from what the loop has left
for it.

The thread touches no database. A loop that has not turned for a while is not alive, whatever the process says.
"""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from pools.metrics import REFUSAL, may_scrape
from pools.metrics.pod import LOOP_AGE
from pools.supervisor.probe_server import Answer, ProbeServer, listener

STUCK_S = 30.0


class Probes:
    """`turned()` at each turn of the loop, `judged()` with what readiness is."""

    def __init__(self, host: str, port: int, metrics: Callable[[], bytes], metrics_token: str) -> None:
        """`metrics` is called in the server's thread. Raises OSError if the port is taken. `host`: as of `listener`."""
        self._metrics = metrics
        self._metrics_token = metrics_token
        self._last_turn = time.monotonic()
        self._readiness: tuple[int, dict[str, Any]] = (HTTPStatus.SERVICE_UNAVAILABLE, {"detail": "starting"})
        self._short = "starting"  # of what, until the pools have once been full
        self._server = ProbeServer(listener(host, port), self.answer)
        self.port = self._server.port

    def turned(self) -> None:
        self._last_turn = time.monotonic()

    def judged(self, status: int, body: dict[str, Any]) -> None:
        self._readiness = status, body

    def warmed(self, short: str) -> None:
        """What the pools are short of now; empty: they are full, and from then on this pod has been warm."""
        if self._short:
            self._short = short

    @property
    def has_been_warm(self) -> bool:
        return not self._short

    def answer(self, path: str, authorization: str | None) -> Answer:
        still = time.monotonic() - self._last_turn
        match path.partition("?")[0].rstrip("/"):
            case "/health" if still < STUCK_S:
                return Answer.json(HTTPStatus.OK, {"status": "ok"})
            case "/health":
                problem = f"the loop has not turned for {still:.0f} s"
                return Answer.json(HTTPStatus.SERVICE_UNAVAILABLE, {"detail": problem})
            case "/health/warm" if self._short and self._readiness[0] == HTTPStatus.OK:
                return Answer.json(HTTPStatus.SERVICE_UNAVAILABLE, {"detail": self._short})
            case "/health/ready" | "/health/warm":
                return Answer.json(*self._readiness)
            case "/metrics" if not may_scrape(authorization, self._metrics_token):
                return Answer.json(HTTPStatus.UNAUTHORIZED, {"detail": REFUSAL})
            case "/metrics":
                LOOP_AGE.set(still)
                return Answer(HTTPStatus.OK, self._metrics(), CONTENT_TYPE_LATEST)
        return Answer.json(HTTPStatus.NOT_FOUND, {"detail": "Not found."})

    def close(self) -> None:
        self._server.close()
