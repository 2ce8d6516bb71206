"""People in the sandbox's rooms: they hear of each other, and of how each one goes; simulated callers among them."""

import signal
import socket
import subprocess
import sys

import aiohttp
import pytest

from tests.support.daily_sandbox import Sandbox, SandboxRefused
from tests.support.sandbox_visitors import Visitor, play
from tests.support.waiting import wait_until

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
