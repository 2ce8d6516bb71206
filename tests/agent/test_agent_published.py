"""A bot as they are published, unchanged: its own services of the usual providers, which are local fakes here."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pools.agent.launcher import agent_environment
from tests.support.agents import Agents, config, running_agents
from tests.support.daily_sandbox import running_sandbox
from tests.support.fake_openai import FakeOpenAI, running_openai
from tests.support.fake_voices import FakeVoices, running_voices
from tests.support.speech import speech
from tests.support.voice_calls import Call
from trials.bench.voice_caller import VoiceCaller


@pytest.fixture(scope="module")
def openai() -> Iterator[FakeOpenAI]:
    with running_openai("", ["Good morning.", "It comes tomorrow."]) as openai:
        yield openai


@pytest.fixture(scope="module")
def voices() -> Iterator[FakeVoices]:
    with running_voices("Where is my parcel?") as voices:
        yield voices


@pytest.fixture(scope="module")
def agents(openai: FakeOpenAI, voices: FakeVoices) -> Iterator[Agents]:
    keys = dict.fromkeys(("OPENAI_API_KEY", "DEEPGRAM_API_KEY", "CARTESIA_API_KEY", "ELEVENLABS_API_KEY"), "a-fake-key")
    own = {**keys, "OPENAI_BASE_URL": openai.url, "VOICES_URL": voices.url}
    with running_agents(
        "zygote", replace(config("published"), env=agent_environment({**os.environ, **own}, own))
    ) as agents:
        yield agents


@pytest.mark.parametrize("voice", ["cartesia", "deepgram", "elevenlabs"])
def test_a_published_bot_greets_hears_and_answers(
    agents: Agents, openai: FakeOpenAI, voices: FakeVoices, voice: str
) -> None:
    openai.replies = ["Good morning.", "It comes tomorrow."]
    voices.spoken.clear()
    asked = len(openai.asked)

    async def scenario(caller: VoiceCaller) -> None:
        await call.join(caller)
        await caller.until_heard()
        await caller.until_silence(0.3)
        heard = caller.loud_frames
        caller.say(speech("Where is my parcel?"))
        await caller.until(lambda: caller.loud_frames > heard + 20)

    with running_sandbox() as sandbox:
        call = Call(agents, sandbox, {"voice": voice})
        call.play(scenario)
        ended = call.end()
    assert (ended.reason, ended.error, ended.never_spoke, ended.never_heard) == ("caller_left", "", False, False)
    assert voices.spoken == [(voice, "Good morning."), (voice, "It comes tomorrow.")]
    assert openai.asked[asked + 1]["messages"][-1] == {"role": "user", "content": "Where is my parcel?"}
