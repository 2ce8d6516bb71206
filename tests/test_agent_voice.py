"""Spoken calls in rooms of the sandbox: the default bot, forked, and a caller that really hears it (aiortc)."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest

from benchmarks.voice_caller import VoiceCaller
from pools.agent.launcher import agent_environment
from pools.protocol import CallerJoined, Ended, FirstAudio
from tests.agents import PROJECT, Agent, Agents, config, running_agents
from tests.daily_sandbox import Sandbox, running_sandbox
from tests.speech import speech
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


class Call:
    """A private room, the bot in it, and a token for the caller."""

    def __init__(self, agents: Agents, sandbox: Sandbox, body: dict | None = None) -> None:
        self.room = sandbox.create_room(privacy="private", enforce_unique_user_ids=True)["name"]
        self.url = f"{sandbox.url}/{self.room}"
        self.token = sandbox.token(self.room, user_id="ada", user_name="Ada")
        self.agent: Agent = agents.start()
        bot = sandbox.token(self.room, user_id="bot", is_owner=True)
        self.agent.go(body or {"payload": {"customer_name": "Ada"}}, room_url=self.url, token=bot)

    def play(self, scenario: Callable[[VoiceCaller], Awaitable[None]]) -> None:
        async def run() -> None:
            async with VoiceCaller(self.url, self.token) as caller:
                await scenario(caller)

        asyncio.run(run())


def spoken(ended: Ended, role: str) -> str:
    return " ".join(entry["content"] for entry in ended.transcript if entry["role"] == role)


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
    call.agent.expect(CallerJoined)
    call.agent.expect(FirstAudio)
    ended = call.agent.expect(Ended)
    assert (ended.reason, ended.outcome, ended.error) == ("caller_left", "completed", "")
    assert "Hello Ada!" in spoken(ended, "assistant")
    assert "I listened to you for" in spoken(ended, "assistant")
    assert spoken(ended, "user").startswith("(spoke for ")
    wait_until(lambda: not sandbox.participants(call.room))
