"""What the sandbox's presence endpoints say of who is where."""

import time

from tests.support.daily_sandbox import Sandbox, running_sandbox


def test_presence_shows_who_is_where(sandbox: Sandbox):
    for name in ("foo", "bar", "empty"):
        sandbox.create_room(name)
    bot = sandbox.join("foo", sandbox.token("foo", user_id="u1", user_name="Bot"))
    guest, other = sandbox.join("foo", None), sandbox.join("bar", None)
    sandbox.advance_clock(30)
    presence = sandbox.call("GET", "/presence").json()
    assert {room: [p["id"] for p in people] for room, people in presence.items()} == {
        "foo": [bot, guest],
        "bar": [other],
    }
    shown = presence["foo"][0]
    assert (shown["room"], shown["userId"], shown["userName"]) == ("foo", "u1", "Bot")
    assert shown["duration"] >= 30
    assert shown["mtgSessionId"] == presence["foo"][1]["mtgSessionId"] != presence["bar"][0]["mtgSessionId"]
    assert shown["joinTime"].endswith("Z")
    assert presence["foo"][1]["userId"] is None

    room = sandbox.call("GET", "/rooms/foo/presence").json()
    assert room["total_count"] == 2
    assert [p["id"] for p in room["data"]] == [bot, guest]
    assert len(sandbox.call("GET", "/rooms/foo/presence", params={"limit": 1}).json()["data"]) == 1
    assert sandbox.call("GET", "/rooms/foo/presence", params={"userId": "u1"}).json()["total_count"] == 1
    assert sandbox.call("GET", "/rooms/foo/presence", params={"userName": "Nobody"}).json()["data"] == []
    assert sandbox.call("GET", "/rooms/empty/presence").json() == {"total_count": 0, "data": []}


def test_a_meeting_goes_on_in_a_room_that_has_expired(sandbox: Sandbox):
    sandbox.create_room("foo", exp=time.time() + 60)
    inside = sandbox.join("foo", None)
    sandbox.advance_clock(10_000)
    assert sandbox.call("GET", "/rooms/foo").status_code == 404
    assert [p["id"] for p in sandbox.call("GET", "/presence").json()["foo"]] == [inside]
    assert sandbox.call("GET", "/rooms/foo/presence").json()["total_count"] == 1
    assert sandbox.call("POST", "/rooms/foo/eject", {"ids": [inside]}).json() == {"ejectedIds": [inside]}


def test_presence_may_lag_behind():
    with running_sandbox(presence_lag_s=15) as sandbox:
        sandbox.create_room("foo")
        id = sandbox.join("foo", None)
        assert sandbox.call("GET", "/presence").json() == {}
        sandbox.advance_clock(15)
        assert [p["id"] for p in sandbox.call("GET", "/presence").json()["foo"]] == [id]
        sandbox.leave("foo", id)
        assert [p["id"] for p in sandbox.call("GET", "/presence").json()["foo"]] == [id]
        assert sandbox.participants("foo") == []
        sandbox.advance_clock(15)
        assert sandbox.call("GET", "/presence").json() == {}
        sandbox.set_presence_lag(0)
        sandbox.join("foo", None)
        assert "foo" in sandbox.call("GET", "/presence").json()
