"""Sessions whose caller is a telephone: it is in the room while it rings, and has come when it is answered."""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pools.agent.launcher import agent_environment
from pools.protocol import CallerJoined, Ended, FirstAudio
from tests.support.agents import PROJECT, Agent, Agents, config, running_agents
from tests.support.daily_sandbox import Sandbox, running_sandbox

NUMBER = "+919876543210"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(limits_enabled=False) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def agents() -> Iterator[Agents]:
    with running_agents("zygote", config("pools.agent.bots.light", bot_dir=PROJECT)) as agents:
        yield agents


def dial(agents: Agents, sandbox: Sandbox, body: dict[str, Any] | None = None, **script: Any) -> Agent:
    """An agent that is in its room, which has dialled a phone of this script."""
    room = sandbox.create_room(privacy="private", enable_dialout=True)
    agent = agents.start()
    agent.go(body, room_url=room["url"], token=sandbox.token(room["name"], is_owner=True), phone=True)
    sandbox.set_phone(**script)
    sandbox.call("POST", f"/rooms/{room['name']}/dialOut/start", {"phoneNumber": NUMBER}).raise_for_status()
    return agent


def test_a_phone_that_is_answered_and_hangs_up(agents: Agents, sandbox: Sandbox) -> None:
    agent = dial(agents, sandbox, behaviour="answer", after_s=0.1, talk_s=0.2)
    agent.expect(CallerJoined)
    ended = agent.expect(Ended)
    assert (ended.reason, ended.phone_answered, ended.cause) == ("caller_left", True, "")


@pytest.mark.parametrize(
    ("behaviour", "reason", "cause"),
    [
        ("busy", "phone_busy", "486 Busy Here"),
        ("no_answer", "phone_no_answer", "480 Temporarily Unavailable (no answer)"),
        ("rings_out", "phone_no_answer", ""),
        ("fail", "phone_failed", "404 Not Found"),
    ],
)
def test_a_phone_that_is_not_answered_ends_the_session(agents: Agents, sandbox: Sandbox, behaviour, reason, cause):
    ended = dial(agents, sandbox, behaviour=behaviour, after_s=0.1).expect(Ended)
    assert (ended.reason, ended.cause, ended.phone_answered) == (reason, cause, False)


def test_a_phone_that_only_rings_is_waited_for_no_longer_than_a_caller_may_be(agents: Agents, sandbox: Sandbox) -> None:
    room = sandbox.create_room(privacy="private", enable_dialout=True)
    agent = agents.start()
    token = sandbox.token(room["name"], is_owner=True)
    agent.go(room_url=room["url"], token=token, phone=True, caller_timeout=0.5)
    sandbox.set_phone(behaviour="answer", after_s=60)
    sandbox.call("POST", f"/rooms/{room['name']}/dialOut/start", {"phoneNumber": NUMBER}).raise_for_status()
    assert agent.expect(Ended).reason == "caller_never_joined"
    assert sandbox.dials()[-1]["events"] == ["connected", "stopped"], "left alone, it does not ring on"


def test_the_default_bot_speaks_when_its_telephone_is_answered_and_not_while_it_rings(sandbox: Sandbox) -> None:
    without_keys = replace(config("pools.agent.bots.default", bot_dir=PROJECT), env=agent_environment(os.environ, []))
    with running_agents("zygote", without_keys) as agents:
        body = {"execution_mode": "TELEPHONY", "payload": {}, "configurations": {}}
        agent = dial(agents, sandbox, body, behaviour="answer", after_s=1.5, talk_s=None)
        agent.expect(CallerJoined)
        agent.expect(FirstAudio)
