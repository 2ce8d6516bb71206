"""Faults on demand, each as a client meets it, and latency."""

import statistics
import time

import pytest
import requests

from devtools.sandbox.latency import Latency
from tests.support.daily_sandbox import Sandbox, running_sandbox
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("429", 429, "rate-limit-error"),
        ("500", 500, "server-error"),
        ("503", 503, "server-error"),
        ("wrong_key", 401, "authentication-error"),
    ],
)
def test_an_error_fault_answers_so_many_times_and_does_no_work(sandbox: Sandbox, kind, status, error):
    sandbox.fault(kind, "POST", "/rooms", times=2)
    answers = [sandbox.call("POST", "/rooms", {}) for _ in range(3)]
    assert [a.status_code for a in answers] == [status, status, 200]
    assert answers[0].json() == {"error": error}
    assert len(sandbox.rooms()) == 1
    assert sandbox.calls("POST /rooms") == {str(status): 2, "200": 1}


def test_a_fault_can_carry_a_retry_after(sandbox: Sandbox):
    sandbox.fault("429", times=1, retry_after=7)
    assert sandbox.call("GET", "/rooms").headers["Retry-After"] == "7"


def test_a_disconnect_comes_before_the_work(sandbox: Sandbox):
    sandbox.fault("disconnect", "POST", "/rooms", times=1)
    with pytest.raises(requests.ConnectionError):
        sandbox.call("POST", "/rooms", {"name": "foo"})
    assert sandbox.rooms() == []
    assert sandbox.call("POST", "/rooms", {"name": "foo"}).status_code == 200
    assert sandbox.calls("POST /rooms") == {"disconnect": 1, "200": 1}


def test_a_reset_comes_after_the_work(sandbox: Sandbox):
    sandbox.fault("reset", "POST", "/rooms", times=1)
    with pytest.raises(requests.ConnectionError):
        sandbox.call("POST", "/rooms", {"name": "foo"})
    assert sandbox.rooms() == ["foo"]
    again = sandbox.call("POST", "/rooms", {"name": "foo"})
    assert (again.status_code, again.json()["info"]) == (400, "a room named foo already exists")
    assert sandbox.calls("POST /rooms") == {"reset": 1, "400": 1}


def test_a_timeout_is_no_answer_and_no_work(sandbox: Sandbox):
    sandbox.fault("timeout", "POST", "/rooms", times=1)
    with pytest.raises(requests.ReadTimeout):
        sandbox.call("POST", "/rooms", {"name": "foo"}, timeout=0.2)
    assert sandbox.rooms() == []
    assert sandbox.calls("POST /rooms") == {"timeout": 1}


def test_a_hanging_call_does_not_keep_the_sandbox_from_stopping():
    with running_sandbox() as sandbox:
        sandbox.fault("timeout", times=1)
        with pytest.raises(requests.ReadTimeout):
            sandbox.call("GET", "/rooms", timeout=0.1)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5


def test_a_fault_lasts_until_it_is_cleared(sandbox: Sandbox):
    sandbox.fault("503")
    assert {sandbox.call("GET", "/rooms").status_code for _ in range(5)} == {503}
    sandbox.clear_faults()
    assert sandbox.call("GET", "/rooms").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "hit"),
    [
        ("*", "*", {"GET /rooms", "GET /rooms/x", "DELETE /rooms/x", "GET /presence"}),
        ("GET", "*", {"GET /rooms", "GET /rooms/x", "GET /presence"}),
        ("*", "/rooms/*", {"GET /rooms/x", "DELETE /rooms/x"}),
        ("get", "/v1/rooms/x", {"GET /rooms/x"}),
        ("DELETE", "/rooms/{name}", {"DELETE /rooms/x"}),
        ("*", "/rooms", {"GET /rooms"}),
    ],
)
def test_a_fault_meets_the_calls_of_its_method_and_path_only(sandbox: Sandbox, method, path, hit):
    sandbox.fault("500", method, path)
    calls = ["GET /rooms", "GET /rooms/x", "DELETE /rooms/x", "GET /presence"]
    assert {call for call in calls if sandbox.call(*call.split()).status_code == 500} == hit


def test_faults_are_met_in_the_order_in_which_they_were_made(sandbox: Sandbox):
    sandbox.fault("500", times=1)
    sandbox.fault("503", times=1)
    assert [sandbox.call("GET", "/rooms").status_code for _ in range(3)] == [500, 503, 200]


def test_a_faulty_answer_does_not_use_up_the_rate_limit(sandbox: Sandbox):
    sandbox.set_limits(groups={"default": {"limit": 1, "seconds": 60}})
    sandbox.fault("500", times=3)
    assert [sandbox.call("GET", "/rooms").status_code for _ in range(5)] == [500, 500, 500, 200, 429]


# --- latency -----------------------------------------------------------------------------------------------


def test_latency_has_dailys_median_and_tail():
    latency = Latency(240)
    draws = sorted(latency.draw() for _ in range(20_000))
    assert statistics.median(draws) == pytest.approx(0.240, rel=0.03)
    assert draws[int(len(draws) * 0.99)] == pytest.approx(0.400, rel=0.08)
    assert latency.connect() == pytest.approx(0.680)
    assert Latency(0).draw() == Latency(0).connect() == 0


def test_a_call_takes_its_time_and_a_new_connection_more():
    with running_sandbox(latency_ms=20, connect_ms=150) as sandbox:
        times = []
        for _ in range(3):
            began = time.monotonic()
            sandbox.call("GET", "/")
            times.append(time.monotonic() - began)
        assert times[0] > 0.150
        assert min(times[1:]) > 0.005
        sandbox.set_latency(0)
        assert sandbox.call("GET", "/").status_code == 200


def test_a_caller_who_gives_up_during_the_latency_has_done_its_work_all_the_same(sandbox: Sandbox):
    sandbox.set_latency(300, connect_ms=0)
    with pytest.raises(requests.ReadTimeout):
        sandbox.call("POST", "/rooms", {"name": "foo"}, timeout=0.05)
    assert wait_until(sandbox.rooms) == ["foo"]
