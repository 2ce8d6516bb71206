"""Spoken calls in rooms of the sandbox: the default bot, forked, and a caller that really hears it (aiortc)."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.voice_caller import VoiceCaller
from pools.agent.launcher import agent_environment
from tests.agents import PROJECT, Agents, config, running_agents
from tests.daily_sandbox import Sandbox, running_sandbox
from tests.speech import speech
from tests.voice_calls import Call, spoken
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def agents() -> Iterator[Agents]:
    without_keys = replace(config("pools.agent.bots.default", bot_dir=PROJECT), env=agent_environment(os.environ, []))
    with running_agents("zygote", without_keys) as agents:
        yield agents


def test_a_caller_is_greeted_by_name_answered_and_hung_up_on_by_leaving(agents: Agents, sandbox: Sandbox) -> None:
    call = Call(agents, sandbox)

    async def scenario(caller: VoiceCaller) -> None:
        await caller.join()
        await caller.until_heard()
        await caller.until_silence()
        caller.say(speech("Hello, I would like to know where my parcel is."))
        await caller.until_said()
        await caller.until(lambda: caller.was_told("user-stopped-speaking"))
        heard = caller.loud_frames
        await caller.until(lambda: caller.loud_frames > heard + 20)
        await caller.until_silence()

    call.play(scenario)
    ended = call.end()
    assert (ended.reason, ended.outcome, ended.error) == ("caller_left", "completed", "")
    assert "Hello Ada!" in spoken(ended, "assistant")
    assert "I listened to you for" in spoken(ended, "assistant")
    assert spoken(ended, "user").startswith("(spoke for ")
    wait_until(lambda: not sandbox.participants(call.room))
