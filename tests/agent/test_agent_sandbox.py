"""Sessions in rooms of the sandbox: the shell is present in the bot's place and sees who comes and goes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pools.protocol import CallerJoined, Ended, Go, Joined, Message, Stop
from tests.support.agents import PROJECT, Agent, Agents, config, running_agents
from tests.support.daily_sandbox import Sandbox, running_sandbox
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def agents() -> Iterator[Agents]:
    with running_agents("zygote", config("pools.agent.bots.light", bot_dir=PROJECT)) as agents:
        yield agents


@dataclass
class Room:
    name: str
    url: str
    bot_token: str
    caller_token: str


@pytest.fixture
def room(sandbox: Sandbox) -> Room:
    made = sandbox.create_room(privacy="private", enforce_unique_user_ids=True)
    name = made["name"]
    return Room(
        name, made["url"], sandbox.token(name, user_id="bot", is_owner=True), sandbox.token(name, user_id="ada")
    )


def enter(agents: Agents, room: Room, body: dict[str, Any] | None = None, **values: Any) -> Agent:
    agent = agents.start()
    agent.go(body, room_url=room.url, token=room.bot_token, **values)
    return agent


def present(sandbox: Sandbox, room: Room) -> list[str]:
    return [participant["user_id"] for participant in sandbox.participants(room.name)]


def test_a_session_in_a_sandbox_room_from_joining_to_the_callers_leaving(
    agents: Agents, sandbox: Sandbox, room: Room
) -> None:
    agent = enter(agents, room)
    assert present(sandbox, room) == ["bot"]
    caller = sandbox.join(room.name, room.caller_token)
    agent.expect(CallerJoined)
    sandbox.leave(room.name, caller)
    ended = agent.expect(Ended)
    assert (ended.reason, ended.outcome) == ("caller_left", "caller_left")
    wait_until(lambda: not present(sandbox, room))


def test_a_caller_who_was_there_first_is_seen(agents: Agents, sandbox: Sandbox, room: Room) -> None:
    sandbox.join(room.name, room.caller_token)
    agent = enter(agents, room, {"duration_s": 0.3})
    agent.expect(CallerJoined)
    ended = agent.expect(Ended)
    assert (ended.reason, ended.outcome) == ("bot_ended", "duration_over")


def test_the_presence_of_a_killed_agent_ends_with_it(agents: Agents, sandbox: Sandbox, room: Room) -> None:
    agent = enter(agents, room)
    agent.peer.kill()
    wait_until(lambda: not present(sandbox, room))


def test_stop_leaves_the_room(agents: Agents, sandbox: Sandbox, room: Room) -> None:
    agent = enter(agents, room)
    agent.send(Stop("aborted"))
    assert agent.expect(Ended).reason == "aborted"
    wait_until(lambda: not present(sandbox, room))


def test_nobody_comes(agents: Agents, room: Room) -> None:
    assert enter(agents, room, caller_timeout=0.3).expect(Ended).reason == "caller_never_joined"


def test_a_caller_who_came_is_not_waited_for_again(agents: Agents, sandbox: Sandbox, room: Room) -> None:
    agent = enter(agents, room, {"duration_s": 0.8}, caller_timeout=0.4)
    sandbox.join(room.name, room.caller_token)
    agent.expect(CallerJoined)
    assert agent.expect(Ended).reason == "bot_ended"


def test_a_bot_that_stays_after_the_caller_has_gone_is_idle(sandbox: Sandbox, room: Room) -> None:
    with running_agents("zygote", config()) as agents:
        agent = enter(agents, room, {"do": "stay"}, idle_timeout=0.3)
        caller = sandbox.join(room.name, room.caller_token)
        agent.expect(CallerJoined)
        sandbox.leave(room.name, caller)
        assert agent.expect(Ended).reason == "idle_timeout"


def test_an_ejected_bot_ends_its_session(agents: Agents, sandbox: Sandbox, room: Room) -> None:
    agent = enter(agents, room)
    sandbox.call("DELETE", f"/rooms/{room.name}")
    assert agent.expect(Ended).reason == "ejected"


def test_a_bot_that_is_not_let_in_says_why(agents: Agents, sandbox: Sandbox, room: Room) -> None:
    token = sandbox.token(sandbox.create_room()["name"], user_id="bot")  # of another room
    ended = refused(agents, room.url, token)
    assert (ended.reason, ended.no_room) == ("join_failed", False)
    assert ended.error.startswith("JoinError: not-allowed")
    assert token not in ended.error


def test_a_second_bot_with_the_same_token_puts_the_first_one_out(agents: Agents, sandbox: Sandbox, room: Room) -> None:
    first = enter(agents, room)
    enter(agents, room)
    assert first.expect(Ended).reason == "ejected"
    assert present(sandbox, room) == ["bot"]


def test_a_room_that_does_not_exist_is_not_joined(agents: Agents, sandbox: Sandbox, room: Room) -> None:
    ended = refused(agents, room.url + "-not", room.bot_token)
    assert (ended.reason, ended.no_room) == ("join_failed", True)


def test_a_room_is_entered_as_its_session_says_whatever_its_address_is(agents: Agents, sandbox: Sandbox) -> None:
    room = sandbox.create_room()
    agent = agents.start()
    agent.go({"duration_s": 0}, room_url=room["url"], sandbox=False)
    message: Message | None = agent.next()
    assert isinstance(message, Ended) and message.outcome == "duration_over"


def test_a_sandbox_that_is_not_there_is_not_joined(agents: Agents, room: Room) -> None:
    assert refused(agents, "http://127.0.0.1:9/room", room.bot_token).reason == "join_failed"


def test_a_sandbox_that_goes_away_ends_the_session(agents: Agents) -> None:
    with running_sandbox() as doomed:
        name = doomed.create_room()["name"]
        agent = agents.start()
        agent.go(room_url=f"{doomed.url}/{name}", token=doomed.token(name, user_id="bot"))
    assert agent.expect(Ended).reason in ("room_lost", "ejected")


def refused(agents: Agents, room_url: str, token: str) -> Ended:
    agent = agents.start()
    start = agent.start({}, room_url=room_url, token=token)
    agent.send(Go(start.session, start.attempt))
    message: Message | None = agent.next()
    assert not isinstance(message, Joined)
    assert isinstance(message, Ended)
    return message
