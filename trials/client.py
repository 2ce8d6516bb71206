"""The client's side: a keep-alive connection to the HTTP API, and the sandbox's control endpoint.

http.client rather than requests: a client that is itself slow would be measured with the service.
"""

import http.client
import itertools
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Self

import requests

PREFIX = "/agent/voice/breeze-buddy"
TIMEOUT_S = 15.0
_number = itertools.count(1)


class Refused(Exception):
    """An answer that was not expected: its status and body."""


@dataclass(frozen=True)
class Connected:
    """`sent`: Unix seconds, just before the request; `seconds`: until the whole answer was here."""

    session: uuid.UUID
    room_url: str
    token: str = field(repr=False)
    sent: float
    seconds: float


class Api:
    """One caller with one connection. Not for several threads at once."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._http = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def push(self) -> str:
        """A new DAILY lead of the demo template; its id."""
        lead = {
            "request_id": f"bench-{next(_number)}",
            "template": "demo",
            "reseller_id": "demo",
            "merchant_id": "demo",
            "execution_mode": "DAILY",
            "payload": {"customer_name": "Asha", "order": {"id": 1042, "items": ["tea", "cups"]}},
        }
        return str(self._post(f"{PREFIX}/leads", lead, 201)["lead_call_tracker_id"])

    def connect(self, lead: str) -> Connected:
        """Raises Refused, also when there is no capacity."""
        body = json.dumps({"lead_id": lead}).encode()
        sent, started = time.time(), time.perf_counter()
        status, answer = self.request("POST", f"{PREFIX}/connect", body)
        seconds = time.perf_counter() - started
        if status != 200:
            raise Refused(f"connect: {status} {answer[:200]!r}")
        values = json.loads(answer)
        return Connected(uuid.UUID(values["session_id"]), values["room_url"], values["token"], sent, seconds)

    def health(self) -> None:
        """The cheapest request there is."""
        self.request("GET", "/health", None)

    def metrics(self) -> None:
        """A scrape. Raises Refused."""
        status, answer = self.request("GET", "/metrics", None)
        if status != 200 or b"breeze_buddy_active_calls" not in answer:
            raise Refused(f"metrics: {status} {answer[:200]!r}")

    def is_ready(self) -> bool:
        return self.request("GET", "/health/ready", None)[0] == 200

    def _post(self, path: str, body: Any, expected: int) -> Any:
        status, answer = self.request("POST", path, json.dumps(body).encode())
        if status != expected:
            raise Refused(f"{path}: {status} {answer[:200]!r}")
        return json.loads(answer)

    def request(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Status and body of an answer, whatever it is."""
        self._http.request(method, path, body, self._headers)
        response = self._http.getresponse()
        return response.status, response.read()


class Sandbox:
    """Simulated callers, and what the sandbox has counted. `url` is known once it listens."""

    def __init__(self, api_key: str) -> None:
        self.url = ""
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy is no business of 127.0.0.1
        self._key = api_key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    @property
    def api_key(self) -> str:
        return self._key

    def visit(self, connected: Connected, stay_s: float) -> None:
        """A simulated caller enters the room and leaves after `stay_s` seconds, which ends the session."""
        name = connected.room_url.rpartition("/")[2]
        wanted = {"token": connected.token, "stay_s": stay_s}
        answer = self._http.post(f"{self.url}/sandbox/rooms/{name}/participants", json=wanted, timeout=TIMEOUT_S)
        if answer.status_code != 200:
            raise Refused(f"caller: {answer.status_code} {answer.text[:200]!r}")

    def rate_limited(self) -> int:
        """Calls that were answered 429 so far."""
        headers = {"Authorization": f"Bearer {self._key}"}
        answer = self._http.get(f"{self.url}/sandbox/counters", headers=headers, timeout=TIMEOUT_S)
        return sum(statuses.get("429", 0) for statuses in answer.json()["calls"].values())
