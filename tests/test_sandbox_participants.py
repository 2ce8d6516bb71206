"""People in the sandbox's rooms: who may join, who hears of it, how they go, what the presence endpoints say."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import jwt
import pytest

from tests.daily_sandbox import Sandbox, SandboxRefused, running_sandbox
from tests.waiting import wait_until

Scenario = Callable[[aiohttp.ClientSession], Awaitable[None]]
EVENT_SECONDS = 10


def play(scenario: Scenario) -> None:
    """Run a scenario that talks WebSocket."""

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            await scenario(session)

    asyncio.run(run())


class Visitor:
    """A participant that is connected by WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    @classmethod
    async def join(
        cls, session: aiohttp.ClientSession, sandbox: Sandbox, room: str, token: str | None, name: str | None = None
    ) -> tuple["Visitor", dict[str, Any]]:
        """Connects; the visitor and the first event."""
        socket = await session.ws_connect(f"{sandbox.url}/sandbox/rooms/{room}/join")
        await socket.send_json({"token": token, "user_name": name})
        visitor = cls(socket)
        return visitor, await visitor.next()

    @property
    def transport(self) -> asyncio.Transport:
        """The connection below, for rude behaviour."""
        connection = self.socket._response.connection
        assert connection is not None
        assert isinstance(connection.transport, asyncio.Transport)
        return connection.transport

    async def next(self) -> dict[str, Any]:
        return await self.socket.receive_json(timeout=EVENT_SECONDS)

    async def closed(self) -> bool:
        return (await self.socket.receive(timeout=EVENT_SECONDS)).type is aiohttp.WSMsgType.CLOSE


# --- joining and leaving -----------------------------------------------------------------------------------


def test_participants_hear_of_each_other(sandbox: Sandbox):
    sandbox.create_room("foo", privacy="private")
    bot, guest = sandbox.token("foo", is_owner=True, user_id="bot", user_name="Bot"), sandbox.token("foo")

    async def scenario(session):
        first, joined = await Visitor.join(session, sandbox, "foo", bot, name="the token's name wins")
        me = {"id": joined["id"], "user_id": "bot", "user_name": "Bot", "owner": True}
        assert joined == {"event": "joined", "id": me["id"], "owner": True, "participants": []}
        second, joined = await Visitor.join(session, sandbox, "foo", guest, name="Guest")
        other = {"id": joined["id"], "user_id": None, "user_name": "Guest", "owner": False}
        assert joined == {"event": "joined", "id": other["id"], "owner": False, "participants": [me]}
        assert await first.next() == {"event": "participant-joined", "participant": other}
        assert sandbox.participants("foo") == [me, other]
        await second.socket.close()
        assert await first.next() == {"event": "participant-left", "participant": other, "reason": "left"}
        assert sandbox.participants("foo") == [me]
        await first.socket.close()

    play(scenario)
    wait_until(lambda: not sandbox.participants("foo"))
    assert sandbox.counters()["participants"] == {"joined": 2, "left": 2, "present": 0, "peak": 2}


def test_a_killed_process_has_left(sandbox: Sandbox):
    sandbox.create_room("foo")
    code = """
import asyncio, sys, aiohttp
async def main():
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(sys.argv[1])
        await socket.send_json({})
        print((await socket.receive_json())["event"], flush=True)
        await socket.receive()
asyncio.run(main())
"""
    url = f"{sandbox.url}/sandbox/rooms/foo/join"
    with subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "joined\n"
            assert len(sandbox.participants("foo")) == 1
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: not sandbox.participants("foo"))


def test_a_lost_connection_is_told_from_a_hang_up(sandbox: Sandbox):
    sandbox.create_room("foo")

    async def scenario(session):
        first, _ = await Visitor.join(session, sandbox, "foo", None)
        async with aiohttp.ClientSession() as doomed:
            second, _ = await Visitor.join(doomed, sandbox, "foo", None)
            assert (await first.next())["event"] == "participant-joined"
            second.transport.abort()
            left = await first.next()
        assert (left["event"], left["reason"]) == ("participant-left", "connection-lost")

    play(scenario)


def test_a_visitor_who_does_not_read_is_dropped_and_does_not_stop_the_others(sandbox: Sandbox):
    sandbox.create_room("foo")
    long_name = "\N{GRINNING FACE}" * 256  # 3 KB as JSON

    async def scenario(session):
        slow, _ = await Visitor.join(session, sandbox, "foo", None)
        slow.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.transport.pause_reading()
        for _ in range(20):
            for _ in range(100):
                sandbox.leave("foo", sandbox.join("foo", None, user_name=long_name))
            if not sandbox.participants("foo"):
                return
        pytest.fail("the visitor is still there")

    play(scenario)


# --- who may join ------------------------------------------------------------------------------------------


def make_refusable_room(sandbox: Sandbox, now: float, case: str) -> tuple[str, str | None]:
    """Room name and token of a join that must be refused."""
    private: dict[str, Any] = {"privacy": "private"}
    match case:
        case "no such room":
            return "nobody", sandbox.token("nobody")
        case "room expired":
            sandbox.create_room("foo", exp=now + 60, **private)
            token = sandbox.token("foo")
            sandbox.advance_clock(61)
            return "foo", token
        case "room not open yet":
            sandbox.create_room("foo", nbf=now + 60, **private)
            return "foo", sandbox.token("foo")
        case "room full":
            sandbox.create_room("foo", max_participants=1, **private)
            sandbox.join("foo", sandbox.token("foo"))
            return "foo", sandbox.token("foo")
    sandbox.create_room("foo", **({} if case == "bad token, public room" else private))
    domain = sandbox.call("GET", "/").json()["domain_id"]
    signed = {
        "no token": None,
        "bad token, public room": "nonsense",
        "token of another room": sandbox.token("bar"),
        "token of another key": jwt.encode({"r": "foo", "d": domain, "iat": int(now)}, "k" * 40, algorithm="HS256"),
        "token of another domain": jwt.encode({"r": "foo", "d": "x", "iat": now}, sandbox.api_key, algorithm="HS256"),
        "token expired": jwt.encode(
            {"r": "foo", "d": domain, "iat": now, "exp": now - 1}, sandbox.api_key, algorithm="HS256"
        ),
        "token not valid yet": sandbox.token("foo", nbf=now + 60),
    }
    return "foo", signed[case]


@pytest.mark.parametrize(
    ("case", "type", "status"),
    [
        ("no such room", "no-room", 404),
        ("room expired", "exp-room", 403),
        ("room not open yet", "nbf-room", 403),
        ("room full", "meeting-full", 403),
        ("no token", "not-allowed", 403),
        ("bad token, public room", "not-allowed", 403),
        ("token of another room", "not-allowed", 403),
        ("token of another key", "not-allowed", 403),
        ("token of another domain", "not-allowed", 403),
        ("token expired", "exp-token", 403),
        ("token not valid yet", "nbf-token", 403),
    ],
)
def test_a_join_is_refused_with_dailys_error_type_in_both_forms(sandbox: Sandbox, case, type, status):
    room, token = make_refusable_room(sandbox, time.time(), case)
    before = sandbox.participants(room)
    with pytest.raises(SandboxRefused) as refused:
        sandbox.join(room, token)
    assert (refused.value.status, refused.value.body["error"]) == (status, type)

    async def scenario(session):
        visitor, answer = await Visitor.join(session, sandbox, room, token)
        assert (answer["event"], answer["type"]) == ("error", type)
        assert answer["message"]
        assert await visitor.closed()

    play(scenario)
    assert sandbox.participants(room) == before


def test_self_signed_tokens_admit_as_minted_ones_do(sandbox: Sandbox):
    sandbox.create_room("foo", privacy="private")
    domain = sandbox.call("GET", "/").json()["domain_id"]
    claims = {"r": "foo", "d": domain, "iat": int(time.time()), "exp": int(time.time()) + 60, "o": True, "ud": "s1"}
    id = sandbox.join("foo", jwt.encode(claims, sandbox.api_key, algorithm="HS256"))
    assert sandbox.participants("foo") == [{"id": id, "user_id": "s1", "user_name": None, "owner": True}]


def test_a_token_without_a_room_admits_to_all_rooms(sandbox: Sandbox):
    token = sandbox.call("POST", "/meeting-tokens", {"properties": {"is_owner": True}}).json()["token"]
    for name in ("foo", "bar"):
        sandbox.create_room(name, privacy="private")
        assert sandbox.join(name, token)


@pytest.mark.parametrize("message", ["{", "[]", '{"token": 7}', json.dumps({"user_name": "x" * 257}), b"{}"])
def test_a_first_message_that_is_no_join_is_refused(sandbox: Sandbox, message):
    sandbox.create_room("foo")

    async def scenario(session):
        socket = await session.ws_connect(f"{sandbox.url}/sandbox/rooms/foo/join")
        await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
        answer = await socket.receive_json(timeout=EVENT_SECONDS)
        assert (answer["event"], answer["type"]) == ("error", "not-allowed")

    play(scenario)
    assert sandbox.participants("foo") == []


@pytest.mark.parametrize("rude", [False, True])
def test_who_hangs_up_before_saying_who_they_are_leaves_no_trace(sandbox: Sandbox, caplog, rude):
    sandbox.create_room("foo")

    async def scenario(session):
        visitor = Visitor(await session.ws_connect(f"{sandbox.url}/sandbox/rooms/foo/join"))
        if rude:
            visitor.transport.abort()
        else:
            await visitor.socket.close()

    play(scenario)
    assert sandbox.join("foo", None)  # it serves on
    assert sandbox.counters()["participants"]["joined"] == 1
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_join_that_is_no_websocket_is_refused(sandbox: Sandbox):
    answer = sandbox.raw("GET", "/sandbox/rooms/foo/join")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid-request-error")


# --- being thrown out --------------------------------------------------------------------------------------


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


# --- simulated callers -------------------------------------------------------------------------------------


def test_a_simulated_caller_stays_as_long_as_it_was_told(sandbox: Sandbox):
    sandbox.create_room("foo")
    sandbox.join("foo", None, stay_s=0.1)
    wait_until(lambda: not sandbox.participants("foo"))
    sandbox.join("foo", None, stay_s=600)
    sandbox.advance_clock(580)
    assert len(sandbox.participants("foo")) == 1
    sandbox.advance_clock(20)
    assert sandbox.participants("foo") == []


def test_a_simulated_caller_may_be_removed_with_its_own_token_and_no_other(sandbox: Sandbox):
    sandbox.create_room("foo")
    token, other = sandbox.token("foo", user_id="u1"), sandbox.token("foo", user_id="u2")
    path = f"/sandbox/rooms/foo/participants/{sandbox.join('foo', token)}"
    assert sandbox.raw("DELETE", path).status_code == 400
    assert sandbox.raw("DELETE", path, headers={"Authorization": f"Bearer {other}"}).status_code == 401
    assert len(sandbox.participants("foo")) == 1
    assert sandbox.raw("DELETE", path, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert sandbox.participants("foo") == []
    with pytest.raises(SandboxRefused) as refused:
        sandbox.leave("foo", "nobody")
    assert refused.value.status == 404


@pytest.mark.parametrize("body", [{"stay_s": 0}, {"stay_s": "long"}, {"token": 7}, {"user_name": ["x"]}])
def test_malformed_callers_are_refused(sandbox: Sandbox, body):
    sandbox.create_room("foo")
    answer = sandbox.raw("POST", "/sandbox/rooms/foo/participants", json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid-request-error")


# --- the presence endpoints --------------------------------------------------------------------------------


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
