"""A client of the sandbox's control endpoints: adds and removes faults, lists participants of rooms."""

import threading
from typing import Any

import requests

TIMEOUT_S = 10.0


class Daily:
    """A thread-safe client: each thread has its own connection."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url
        self._key = api_key
        self._local = threading.local()

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        if not hasattr(self._local, "http"):
            self._local.http = requests.Session()
            self._local.http.trust_env = False
        headers = {"Authorization": f"Bearer {key or self._key}"}
        answer = self._local.http.request(method, f"{self._url}{path}", json=body, headers=headers, timeout=TIMEOUT_S)
        return answer.status_code, answer.json()

    # --- faults -------------------------------------------------------------------------------------------

    def fail(self, kind: str, **details: Any) -> None:
        """Make calls fail from now on; `details` as in devtools.sandbox.faults."""
        self.call("POST", "/sandbox/faults", {"kind": kind, **details})

    def slow(self, seconds: float) -> None:
        self.call("PUT", "/sandbox/latency", {"latency_ms": seconds * 1000, "connect_ms": 0})

    def mend(self, latency_s: float) -> None:
        self.call("DELETE", "/sandbox/faults")
        self.slow(latency_s)

    def delete_room(self, name: str) -> None:
        self.call("DELETE", f"/v1/rooms/{name}")

    # --- what is there ------------------------------------------------------------------------------------

    def rooms(self) -> set[str]:
        return set(self.call("GET", "/sandbox/rooms")[1]["rooms"])

    def people(self) -> dict[str, list[dict[str, Any]]]:
        """Return the participants by room: id, user_id, user_name, owner."""
        people: dict[str, list[dict[str, Any]]] = self.call("GET", "/sandbox/participants")[1]["rooms"]
        return people

    def bots(self) -> set[str]:
        """Return the sessions whose bot is in its room."""
        return {str(person["user_id"]) for room in self.people().values() for person in room if person["owner"]}

    def counters(self) -> dict[str, Any]:
        counters: dict[str, Any] = self.call("GET", "/sandbox/counters")[1]
        return counters

    # --- callers ------------------------------------------------------------------------------------------

    def visit(self, room: str, token: str, stay_s: float | None) -> str | None:
        """Add a simulated caller. Returns its id, or None if it was not let in (the session is over)."""
        body = {"token": token, "stay_s": stay_s} if stay_s else {"token": token}
        status, answer = self.call("POST", f"/sandbox/rooms/{room}/participants", body)
        return str(answer["id"]) if status == 200 else None

    def leave(self, room: str, caller: str) -> None:
        self.call("DELETE", f"/sandbox/rooms/{room}/participants/{caller}")
