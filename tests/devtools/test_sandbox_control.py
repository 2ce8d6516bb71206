"""The sandbox's own endpoints: what it counts, how it is reset, what it refuses."""

import time

import pytest

from devtools.sandbox import SANDBOX_API_KEY
from tests.support.daily_sandbox import Sandbox


def test_everything_served_is_counted_by_route_and_status(sandbox: Sandbox):
    sandbox.create_room("foo")
    sandbox.call("POST", "/rooms", {"name": "foo"})
    sandbox.call("GET", "/rooms/foo")
    sandbox.call("GET", "/rooms/nobody")
    sandbox.call("GET", "/nothing/here")
    sandbox.call("GET", "/rooms", headers={})
    counters = sandbox.counters()
    assert counters["calls"] == {
        "POST /rooms": {"200": 1, "400": 1},
        "GET /rooms/{name}": {"200": 1, "404": 1},
        "GET /rooms": {"400": 1},
        "unknown": {"404": 1},
    }
    assert counters["rate_limited"] == 0
    assert counters["rooms"] == {"created": 1, "live": 1, "expired": 0, "deleted": 0}
    (window,) = counters["windows"]
    assert (window["group"], window["peak_offered"], window["limit"]) == ("default", 5, 100)


def test_reset_takes_the_sandbox_back_to_its_start(sandbox: Sandbox):
    sandbox.create_room("foo")
    sandbox.join("foo", None)
    sandbox.fault("500")
    sandbox.advance_clock(1000)
    sandbox.set_limits(enabled=False, groups={"default": {"limit": 1, "seconds": 5}})
    sandbox.reset()
    counters = sandbox.counters()
    assert (counters["calls"], counters["windows"], counters["rooms"]["created"]) == ({}, [], 0)
    assert counters["participants"] == {"joined": 0, "left": 0, "present": 0, "peak": 0}
    assert sandbox.call("GET", "/rooms").json() == {"total_count": 0, "data": []}
    assert sandbox.call("GET", "/rooms").status_code == 200  # the limit is Daily's again
    room = sandbox.create_room("foo", exp=time.time() + 500)
    assert sandbox.call("GET", f"/rooms/{room['name']}").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/sandbox/latency", {"latency_ms": -1}),
        ("PUT", "/sandbox/latency", {}),
        ("PUT", "/sandbox/clock", {"offset_s": "x"}),
        ("PUT", "/sandbox/clock", {"advance": 5}),
        ("PUT", "/sandbox/presence", {"lag_s": 16}),
        ("PUT", "/sandbox/limits", {"enabled": 1}),
        ("PUT", "/sandbox/limits", {"groups": {"nobody": {"limit": 1, "seconds": 1}}}),
        ("PUT", "/sandbox/limits", {"groups": {"batch": {"limit": 1}}}),
        ("PUT", "/sandbox/limits", {"max_api_rooms": -1}),
        ("POST", "/sandbox/faults", {"kind": "earthquake"}),
        ("POST", "/sandbox/faults", {"kind": "500", "times": 0}),
        ("POST", "/sandbox/faults", {"kind": "500", "path": 7}),
        ("POST", "/sandbox/faults", {"kind": "500", "when": "now"}),
        ("DELETE", "/sandbox/faults/7", None),
        ("GET", "/sandbox/nothing", None),
    ],
)
def test_wrong_control_requests_are_refused(module_sandbox, method, path, body):
    headers = {"Authorization": f"Bearer {SANDBOX_API_KEY}"}
    got = module_sandbox.raw(method, path, json=body, headers=headers)
    assert got.status_code == (404 if body is None else 400)
    assert got.json()["error"]
