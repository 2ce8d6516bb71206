"""Who may join a room of the sandbox, and in which of Daily's words the others are refused."""

import json
import time
from typing import Any

import jwt
import pytest

from tests.support.daily_sandbox import Sandbox, SandboxRefused
from tests.support.sandbox_visitors import EVENT_SECONDS, Visitor, play


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
