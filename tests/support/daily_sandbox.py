"""The Daily sandbox in tests: `running_sandbox()` serves it from a thread, `Sandbox` drives it over HTTP.

    def test_something(sandbox):                      # the fixture: no latency, Daily's rate limits
        sandbox.fault("503", "POST", "/rooms", times=2)
        client = OurClient(sandbox.api_url, sandbox.api_key)
        ...
        assert sandbox.counters()["calls"]["POST /rooms"] == {"503": 2, "200": 1}

`Sandbox(url, key)` works just as well for a sandbox that runs in a process of its own. No Django in here.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from devtools.sandbox import SANDBOX_API_KEY
from devtools.sandbox.server import SandboxServer
from devtools.sandbox.world import SandboxOptions, World

START_SECONDS = 10.0


class SandboxRefused(Exception):
    """An answer that is not 200. `status` is HTTP's, `body` the JSON (for joins, "error" is e.g. "exp-token")."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


class Sandbox:
    """A running sandbox as a test sees it. Not for use by several threads at once."""

    def __init__(self, url: str, api_key: str = SANDBOX_API_KEY) -> None:
        self.url = url
        self.api_url = f"{url}/v1"
        self.api_key = api_key
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy is no business of 127.0.0.1

    def close(self) -> None:
        self._http.close()

    # --- Daily's API, counted and limited like everybody's calls -------------------------------------------

    def call(self, method: str, path: str, json: object = None, **options: Any) -> requests.Response:
        """One call of Daily's API with the right key; `headers` and the like replace the defaults."""
        options.setdefault("headers", {"Authorization": f"Bearer {self.api_key}"})
        options.setdefault("timeout", 10)
        return self._http.request(method, self.api_url + path, json=json, **options)

    def raw(self, method: str, path: str, **options: Any) -> requests.Response:
        """One request to `path` of the server, `/v1` and `/sandbox` not implied, with no key of its own."""
        options.setdefault("timeout", 10)
        return self._http.request(method, self.url + path, **options)

    def create_room(self, name: str | None = None, privacy: str = "public", **properties: Any) -> dict[str, Any]:
        """A room object; `exp` and so on are properties."""
        named = {} if name is None else {"name": name}
        return _json(self.call("POST", "/rooms", {**named, "privacy": privacy, "properties": properties}))

    def token(self, room_name: str, **properties: Any) -> str:
        """A meeting token; `user_id`, `is_owner`, `exp` and so on are properties."""
        return _json(self.call("POST", "/meeting-tokens", {"properties": {"room_name": room_name, **properties}}))[
            "token"
        ]

    # --- people --------------------------------------------------------------------------------------------

    def join(self, room_name: str, token: str | None, stay_s: float | None = None, user_name: str | None = None) -> str:
        """A simulated caller joins; its id. It stays for `stay_s` seconds or until `leave`."""
        wanted = {"token": token, "stay_s": stay_s, "user_name": user_name}
        return _json(self.raw("POST", f"/sandbox/rooms/{room_name}/participants", json=wanted))["id"]

    def leave(self, room_name: str, participant_id: str) -> None:
        self._control("DELETE", f"/rooms/{room_name}/participants/{participant_id}")

    def participants(self, room_name: str) -> list[dict[str, Any]]:
        """Who is in the room now: `id, user_id, user_name, owner` each; nobody if there is no such room."""
        try:
            return self._control("GET", f"/rooms/{room_name}/participants")["participants"]
        except SandboxRefused as refusal:
            if refusal.status == 404:
                return []
            raise

    # --- telephones ----------------------------------------------------------------------------------------

    def set_phone(self, number: str | None = None, **script: Any) -> None:
        """What a phone (`None`: every other one) does when it is dialled.

        `behaviour`: "answer", "busy", "no_answer", "rings_out", "fail" or "unreachable"; `after_s`; `talk_s`.
        """
        self._control("PUT", "/phones" if number is None else f"/phones/{number}", script)

    def hang_up(self, room_name: str, session_id: str) -> None:
        """For the person at the phone."""
        _json(self.call("POST", f"/rooms/{room_name}/dialOut/stop", {"sessionId": session_id}))

    def dials(self) -> list[dict[str, Any]]:
        """Every dial: `sessionId, room, destination, userId, events, over`, oldest first."""
        return self._control("GET", "/dials")["dials"]

    # --- control -------------------------------------------------------------------------------------------

    def rooms(self) -> list[str]:
        """Names of the live rooms, oldest first."""
        return self._control("GET", "/rooms")["rooms"]

    def counters(self) -> dict[str, Any]:
        return self._control("GET", "/counters")

    def calls(self, route: str) -> dict[str, int]:
        """How often a route ("POST /rooms", "DELETE /rooms/{name}") was answered, by status or dropping fault."""
        return self.counters()["calls"].get(route, {})

    def fault(
        self,
        kind: str,
        method: str = "*",
        path: str = "*",
        times: int | None = None,
        retry_after: float | None = None,
    ) -> int:
        """The next `times` matching calls fail, or all until it is cleared; the fault's id.

        `kind`: "400", "429", "500", "503", "timeout", "disconnect", "reset" (after the work is done), "wrong_key".
        `path`: shell pattern ("/rooms/*") or a route's name ("/rooms/{name}").
        """
        wanted = {"kind": kind, "method": method, "path": path, "times": times, "retry_after": retry_after}
        return self._control("POST", "/faults", wanted)["id"]

    def clear_faults(self) -> None:
        self._control("DELETE", "/faults")

    def advance_clock(self, seconds: float) -> None:
        """Rooms, tokens, limits and stays see `seconds` pass at once."""
        self._control("PUT", "/clock", {"advance_s": seconds})

    def set_limits(self, **limits: Any) -> None:
        """`enabled`, `per_route`, `retry_after`: bools; `max_api_rooms`; `groups={"batch": {"limit", "seconds"}}`."""
        self._control("PUT", "/limits", limits)

    def set_latency(self, latency_ms: float, connect_ms: float | None = None) -> None:
        """Median of a call, and what a new connection costs besides (None: in proportion)."""
        self._control("PUT", "/latency", {"latency_ms": latency_ms, "connect_ms": connect_ms})

    def set_presence_lag(self, seconds: float) -> None:
        self._control("PUT", "/presence", {"lag_s": seconds})

    def change_key(self, api_key: str) -> None:
        """In Daily's dashboard. From now on this object uses the new one."""
        self._control("PUT", "/api-key", {"api_key": api_key})
        self.api_key = api_key

    def reset(self) -> None:
        """As just started: no rooms, people, faults or counts."""
        self._control("POST", "/reset")

    def _control(self, method: str, path: str, json: object = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        return _json(self.raw(method, f"/sandbox{path}", json=json, headers=headers))


def _json(response: requests.Response) -> Any:
    if response.status_code != 200:
        raise SandboxRefused(response.status_code, response.json())
    return response.json()


@contextmanager
def running_sandbox(latency_ms: float = 0, *, port: int = 0, **options: Any) -> Iterator[Sandbox]:
    """A sandbox in a thread of this process until the block ends. `options` are those of SandboxOptions."""
    world = World(SandboxOptions(latency_ms=latency_ms, **options))
    served = _Served(world, port)
    thread = threading.Thread(target=served.run, name="daily-sandbox", daemon=True)
    thread.start()
    try:
        sandbox = Sandbox(served.wait_for_url(), world.options.api_key)
        try:
            yield sandbox
        finally:
            sandbox.close()
    finally:
        served.stop()
        thread.join(START_SECONDS)


class _Served:
    """The server's side of the thread."""

    def __init__(self, world: World, port: int) -> None:
        self._world = world
        self._port = port
        self._settled = threading.Event()
        self._url: str | None = None
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # handed to the test by wait_for_url
            self._failure = failure
        finally:
            self._settled.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = SandboxServer(self._world, "127.0.0.1", self._port)
        await server.start()
        self._url = server.url
        self._settled.set()
        try:
            await self._stop.wait()
        finally:
            await server.stop()

    def wait_for_url(self) -> str:
        self._settled.wait(START_SECONDS)
        if self._url is None:
            raise RuntimeError("the sandbox did not start") from self._failure
        return self._url

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)


@pytest.fixture(scope="module")
def module_sandbox() -> Iterator[Sandbox]:
    """One for all tests that leave nothing behind."""
    with running_sandbox(limits_enabled=False) as served:
        yield served


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as served:
        yield served
