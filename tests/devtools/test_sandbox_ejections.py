"""Who is thrown out of a room of the sandbox, when, and by what."""

import time

import pytest

from tests.support.daily_sandbox import Sandbox, SandboxRefused
from tests.support.sandbox_visitors import Visitor, play


@pytest.mark.parametrize(
    ("room", "token", "seconds", "reason"),
    [
        ({"exp": 60, "eject_at_room_exp": True}, {}, 60, "room-expired"),
        ({"eject_after_elapsed": 30}, {}, 30, "time-elapsed"),
        ({}, {"exp": 60, "eject_at_token_exp": True}, 60, "token-expired"),
        ({}, {"eject_after_elapsed": 30}, 30, "time-elapsed"),
        ({"exp": 50, "eject_at_room_exp": True}, {"eject_after_elapsed": 80}, 80, "time-elapsed"),
        ({"eject_after_elapsed": 5}, {"exp": 60, "eject_at_token_exp": True}, 60, "token-expired"),
        ({"exp": 50, "eject_at_room_exp": True}, {"exp": 40, "eject_at_token_exp": False}, 50, "room-expired"),
        ({"exp": 50}, {"exp": 40}, None, None),
    ],
)
def test_when_a_participant_is_thrown_out(sandbox: Sandbox, room, token, seconds, reason):
    now = time.time()
    in_time = {key: now + value if key == "exp" else value for key, value in room.items()}
    sandbox.create_room("foo", **in_time)
    made = sandbox.token("foo", **{key: now + value if key == "exp" else value for key, value in token.items()})

    async def scenario(session):
        visitor, joined = await Visitor.join(session, sandbox, "foo", made)
        assert joined["event"] == "joined"
        if seconds is None:
            sandbox.advance_clock(100_000)
            assert len(sandbox.participants("foo")) == 1
            return
        sandbox.advance_clock(seconds - 5)
        assert len(sandbox.participants("foo")) == 1
        sandbox.advance_clock(6)
        assert await visitor.next() == {"event": "ejected", "reason": reason}
        assert await visitor.closed()

    play(scenario)


def test_the_time_of_ejection_is_settled_at_the_join(sandbox: Sandbox):
    sandbox.create_room("foo", exp=time.time() + 60, eject_at_room_exp=True)
    sandbox.join("foo", None)
    sandbox.call("POST", "/rooms/foo", {"properties": {"exp": time.time() + 600, "eject_at_room_exp": False}})
    late = sandbox.join("foo", None)
    sandbox.advance_clock(61)
    assert [p["id"] for p in sandbox.participants("foo")] == [late]


@pytest.mark.parametrize("batch", [False, True])
def test_deleting_a_room_throws_everybody_out(sandbox: Sandbox, batch):
    sandbox.create_room("foo")

    async def scenario(session):
        visitor, _ = await Visitor.join(session, sandbox, "foo", None)
        sandbox.join("foo", None)
        assert (await visitor.next())["event"] == "participant-joined"
        if batch:
            sandbox.call("DELETE", "/batch/rooms", {"room_names": ["foo"]})
        else:
            sandbox.call("DELETE", "/rooms/foo")
        assert await visitor.next() == {"event": "ejected", "reason": "room-deleted"}
        assert await visitor.closed()

    play(scenario)
    assert sandbox.counters()["participants"]["present"] == 0


def test_a_second_join_of_a_user_takes_the_place_of_the_first_if_ids_are_unique(sandbox: Sandbox):
    sandbox.create_room("foo", enforce_unique_user_ids=True, max_participants=1)
    sandbox.create_room("bar")
    token = sandbox.call("POST", "/meeting-tokens", {"properties": {"user_id": "u1"}}).json()["token"]

    async def scenario(session):
        visitor, _ = await Visitor.join(session, sandbox, "foo", token)
        second = sandbox.join("foo", token)
        assert await visitor.next() == {"event": "ejected", "reason": "duplicate-user-id"}
        assert [p["id"] for p in sandbox.participants("foo")] == [second]

    play(scenario)
    sandbox.join("bar", token)
    sandbox.join("bar", token)
    assert len(sandbox.participants("bar")) == 2


def test_the_eject_call_takes_ids_and_user_ids_and_does_not_mind_unknown_ones(sandbox: Sandbox):
    sandbox.create_room("foo")
    first = sandbox.join("foo", sandbox.token("foo", user_id="u1"))
    second = sandbox.join("foo", sandbox.token("foo", user_id="u2"))
    third = sandbox.join("foo", None)
    got = sandbox.call("POST", "/rooms/foo/eject", {"ids": [second, "nobody"], "user_ids": ["u1"]})
    assert got.status_code == 200
    assert sorted(got.json()["ejectedIds"]) == sorted([first, second])
    assert [p["id"] for p in sandbox.participants("foo")] == [third]
    assert sandbox.join("foo", sandbox.token("foo", user_id="u1"))  # an ejection does not revoke the token


def test_a_ban_lasts_as_long_as_the_meeting(sandbox: Sandbox):
    sandbox.create_room("foo")
    token = sandbox.token("foo", user_id="u1")
    other, banned = sandbox.join("foo", None), sandbox.join("foo", token)
    sandbox.call("POST", "/rooms/foo/eject", {"ids": [banned], "ban": True})
    with pytest.raises(SandboxRefused):
        sandbox.join("foo", token)
    sandbox.leave("foo", other)
    assert sandbox.join("foo", token)


@pytest.mark.parametrize(
    "body", [{}, {"ids": ["x"] * 101}, {"ids": "x"}, {"user_ids": [7]}, {"ids": ["x"], "all": True}]
)
def test_malformed_ejections_are_refused(sandbox: Sandbox, body):
    sandbox.create_room("foo")
    sandbox.join("foo", None)
    assert sandbox.call("POST", "/rooms/foo/eject", body).status_code == 400
