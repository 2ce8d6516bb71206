"""The sandbox's rate limits: sliding windows by themselves, and as a client meets them."""

import pytest

from devtools.sandbox.limits import LimitSettings, RateLimits, SlidingWindow
from tests.support.daily_sandbox import Sandbox, running_sandbox


def accepted(window: SlidingWindow, times: list[float]) -> list[bool]:
    return [window.call(time) is None for time in times]


def test_a_window_slides():
    window = SlidingWindow(limit=2, seconds=5)
    assert accepted(window, [0, 1, 4.9, 5.0, 5.9, 6.0]) == [True, True, False, True, False, True]
    assert window.refused == 2


def test_a_burst_at_the_edge_of_two_spans_is_no_way_around_it():
    window = SlidingWindow(limit=100, seconds=5)
    assert all(accepted(window, [4.9] * 100))
    assert not any(accepted(window, [5.1] * 100))
    assert all(accepted(window, [9.9] * 100))


def test_refused_calls_do_not_prolong_the_wait():
    window = SlidingWindow(limit=1, seconds=10)
    window.call(0)
    assert window.call(4) == pytest.approx(6)
    assert window.call(9) == pytest.approx(1)
    assert window.call(10) is None


def test_peaks_are_recorded_with_limits_off_too():
    window = SlidingWindow(limit=2, seconds=5)
    for time in (0, 1, 2, 3, 20):
        assert window.call(time, enforced=False) is None
    assert (window.peak_offered, window.peak_accepted, window.refused) == (4, 4, 0)


def test_a_clock_that_goes_back_does_not_lock_anybody_out():
    window = SlidingWindow(limit=1, seconds=5)
    window.call(1_000_000)
    assert window.call(10) is None


def test_switching_limits_on_after_a_burst_counts_the_burst():
    window = SlidingWindow(limit=2, seconds=5)
    for time in (0, 0, 0, 1):
        window.call(time, enforced=False)
    assert window.call(2) == pytest.approx(3)  # when the third of the four has gone out of the window


@pytest.mark.parametrize(
    ("group", "calls", "seconds"), [("default", 100, 5), ("delete-room", 50, 30), ("batch", 10, 30)]
)
def test_dailys_documented_limits_are_the_defaults(group, calls, seconds):
    limits = RateLimits(LimitSettings())
    assert [limits.call(group, "any", 0.0) for _ in range(calls)] == [None] * calls
    assert limits.call(group, "any", seconds - 0.1) is not None
    assert limits.call(group, "any", seconds) is None


def test_groups_do_not_share_a_window_but_their_routes_do():
    limits = RateLimits(LimitSettings())
    limits.change("default", 1, 5)
    assert limits.call("default", "GET /rooms", 0) is None
    assert limits.call("default", "POST /rooms", 0) is not None
    assert limits.call("batch", "POST /batch/rooms", 0) is None


def test_windows_can_be_per_route():
    limits = RateLimits(LimitSettings(per_route=True))
    limits.change("default", 1, 5)
    assert limits.call("default", "GET /rooms", 0) is None
    assert limits.call("default", "POST /rooms", 0) is None
    assert limits.call("default", "GET /rooms", 0) is not None


# --- as a client meets them --------------------------------------------------------------------------------


def test_a_call_over_the_limit_gets_429_without_a_retry_after(sandbox: Sandbox):
    sandbox.set_limits(groups={"default": {"limit": 2, "seconds": 60}})
    answers = [sandbox.call("POST", "/rooms", {}) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[-1].json() == {"error": "rate-limit-error"}
    assert "Retry-After" not in answers[-1].headers
    assert len(sandbox.rooms()) == 2


def test_the_limit_is_over_when_the_clock_has_passed_the_window(sandbox: Sandbox):
    sandbox.set_limits(groups={"default": {"limit": 1, "seconds": 60}}, retry_after=True)
    assert sandbox.call("GET", "/rooms").status_code == 200
    limited = sandbox.call("GET", "/rooms")
    assert limited.status_code == 429
    assert 1 <= int(limited.headers["Retry-After"]) <= 60
    sandbox.advance_clock(60)
    assert sandbox.call("GET", "/rooms").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "group"),
    [
        ("DELETE", "/rooms/foo", "delete-room"),
        ("POST", "/batch/rooms", "batch"),
        ("DELETE", "/batch/rooms", "batch"),
        ("GET", "/rooms/foo", "default"),
        ("POST", "/meeting-tokens", "default"),
        ("GET", "/presence", "default"),
        ("GET", "/", "default"),
    ],
)
def test_every_endpoint_is_in_its_group(sandbox: Sandbox, method, path, group):
    sandbox.set_limits(groups={group: {"limit": 0, "seconds": 60}})
    assert sandbox.call(method, path).status_code == 429


def test_limits_can_be_switched_off_and_the_peak_is_still_known():
    with running_sandbox(limits_enabled=False) as sandbox:
        sandbox.set_limits(groups={"default": {"limit": 1, "seconds": 600}})
        assert {sandbox.call("GET", "/").status_code for _ in range(5)} == {200}
        (window,) = sandbox.counters()["windows"]
        assert window["peak_accepted"] == 5
        sandbox.set_limits(enabled=True)
        assert sandbox.call("GET", "/").status_code == 429
        assert sandbox.counters()["rate_limited"] == 1


def test_calls_with_a_wrong_key_do_not_use_up_the_limit(sandbox: Sandbox):
    sandbox.set_limits(groups={"default": {"limit": 1, "seconds": 60}})
    assert sandbox.call("GET", "/", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert sandbox.call("GET", "/").status_code == 200
