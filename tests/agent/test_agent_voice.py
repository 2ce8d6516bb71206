"""Spoken calls in rooms of the sandbox: the default bot, forked, and a caller that really hears it (aiortc)."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace

import aiohttp
import pytest

from devtools.sandbox.presence import RECONNECT_SECONDS
from pools.agent.launcher import agent_environment
from pools.protocol import CallerJoined, Claimed, Ended, FirstAudio
from tests.support.agents import PROJECT, Agents, config, running_agents
from tests.support.daily_sandbox import Sandbox, running_sandbox
from tests.support.fake_openai import TONE_SECONDS, FakeOpenAI, running_openai
from tests.support.speech import speech
from tests.support.voice_calls import Call, spoken
from tests.support.waiting import wait_until
from trials.bench.voice_caller import CallRefused, VoiceCaller


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
    call = Call(agents, sandbox, afterwork=120.0)

    async def scenario(caller: VoiceCaller) -> None:
        await call.join(caller)
        await caller.until_heard()
        await caller.until_silence()
        caller.say(speech("Hello, I would like to know where my parcel is."))
        await caller.until_said()
        await caller.until_told("user-stopped-speaking")
        heard = caller.loud_frames
        await caller.until(lambda: caller.loud_frames > heard + 20)
        await caller.until_silence()

    call.play(scenario)
    ended = call.end()
    assert (ended.reason, ended.outcome, ended.error) == ("caller_left", "completed", "")
    assert not ended.never_spoke and not ended.never_heard
    assert "Hello Ada!" in spoken(ended, "assistant")
    assert "I listened to you for" in spoken(ended, "assistant")
    assert spoken(ended, "user").startswith("(spoke for ")
    wait_until(lambda: not sandbox.participants(call.room))
    call.agent.wait_for_exit()  # long before the time for afterwork is over: it has left nothing to be done


def test_of_a_call_that_nobody_joins_the_bot_has_no_outcome(agents: Agents, sandbox: Sandbox) -> None:
    ended = Call(agents, sandbox, caller_timeout=0.5).agent.expect(Ended)
    assert (ended.reason, ended.outcome) == ("caller_never_joined", "")


def test_the_bot_stops_speaking_when_it_is_interrupted(agents: Agents, sandbox: Sandbox) -> None:
    call = Call(agents, sandbox)

    async def scenario(caller: VoiceCaller) -> None:
        await call.join(caller)
        await caller.until_heard()
        caller.say(speech("Stop, please, I know all of this already."))
        await caller.until_told("bot-interrupted")
        await caller.until_told("user-stopped-speaking")

    call.play(scenario)
    assert call.end().reason == "caller_left"


async def speak_until_heard(caller: VoiceCaller, words: str) -> None:
    """As people do: one who gets no answer says it again."""
    for _ in range(4):
        caller.say(speech(words))
        with contextlib.suppress(TimeoutError):
            return await caller.until(lambda: "heard" in caller.times, 8)
    raise AssertionError("the bot was not heard")


def test_a_caller_who_comes_back_in_time_goes_on_with_the_call(agents: Agents, sandbox: Sandbox) -> None:
    call = Call(agents, sandbox)

    async def scenario(caller: VoiceCaller) -> None:
        await call.join(caller)
        await caller.until_heard()
        await caller.leave(in_order=False)
        async with VoiceCaller() as again:
            await call.join(again, resume=caller.id)
            assert again.id == caller.id
            await speak_until_heard(again, "I am back.")  # what the bot said meanwhile is lost

    call.play(scenario)
    assert call.end().reason == "caller_left"


def test_a_caller_who_stays_away_has_left(agents: Agents, sandbox: Sandbox) -> None:
    call = Call(agents, sandbox)

    async def scenario(caller: VoiceCaller) -> None:
        await call.join(caller)
        await caller.leave(in_order=False)

    call.play(scenario)
    assert len(sandbox.participants(call.room)) == 2
    sandbox.advance_clock(RECONNECT_SECONDS)
    assert call.end().reason == "caller_left"


def test_a_second_caller_is_told_that_the_bot_is_busy(agents: Agents, sandbox: Sandbox) -> None:
    call = Call(agents, sandbox)
    other = sandbox.token(call.room, user_id="eve")

    async def scenario(caller: VoiceCaller) -> None:
        await call.join(caller)
        async with VoiceCaller() as second:
            with pytest.raises(CallRefused, match="somebody else"):
                await second.join(call.url, other)

    call.play(scenario)
    assert call.end().reason == "caller_left"


def test_an_offer_that_is_none_is_refused_and_the_bot_stays(agents: Agents, sandbox: Sandbox) -> None:
    call = Call(agents, sandbox)

    async def nonsense() -> None:
        async with aiohttp.ClientSession() as http, http.ws_connect(ws_address(call)) as socket:
            await socket.send_json({"token": call.token, "media": True})
            assert (await socket.receive_json())["event"] == "joined"
            await socket.send_str("[]")
            await socket.send_json({"data": {"type": "offer", "sdp": "v=1 nonsense"}})
            assert (await socket.receive_json())["data"]["type"] == "refused"

    asyncio.run(nonsense())
    assert call.end().reason == "caller_left"


def ws_address(call: Call) -> str:
    return call.url.replace("http://", "ws://").replace(f"/{call.room}", f"/sandbox/rooms/{call.room}/join")


def test_a_simulated_caller_is_spoken_to_and_its_leaving_ends_the_call(agents: Agents, sandbox: Sandbox) -> None:
    call = Call(agents, sandbox)
    ada = sandbox.join(call.room, call.token)
    call.agent.expect(CallerJoined)
    call.agent.expect(FirstAudio)
    sandbox.leave(call.room, ada)
    assert call.agent.expect(Ended).reason == "caller_left"


def test_in_stream_mode_the_clients_words_are_spoken_and_nothing_else(agents: Agents, sandbox: Sandbox) -> None:
    call = Call(agents, sandbox, {"execution_mode": "DAILY_STREAM", "payload": {"customer_name": "Ada"}})

    async def scenario(caller: VoiceCaller) -> None:
        await call.join(caller)
        await caller.send(
            {"type": "client-message", "data": {"t": "tts-speak", "d": {"text": "Your words, my voice."}}}
        )
        await caller.until_heard()
        await caller.until_silence()

    call.play(scenario)
    assert [entry["content"] for entry in call.end().transcript] == ["Your words, my voice."]


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeOpenAI]:
    with running_openai("Yes, please.", ["Fine."]) as openai:
        yield openai


@pytest.fixture(scope="module")
def talkers(provider: FakeOpenAI) -> Iterator[Agents]:
    """Agents with a key."""
    environ = {**os.environ, "OPENAI_API_KEY": "sk-fake", "OPENAI_BASE_URL": provider.url}
    names = ["OPENAI_API_KEY", "OPENAI_BASE_URL"]
    with_key = replace(config("pools.agent.bots.default", bot_dir=PROJECT), env=agent_environment(environ, names))
    with running_agents("zygote", with_key) as agents:
        yield agents


@pytest.fixture
def openai(provider: FakeOpenAI) -> FakeOpenAI:
    provider.asked.clear()
    provider.spoken.clear()
    provider.voices.clear()
    provider.tone_seconds = TONE_SECONDS
    return provider


def test_with_a_language_model_it_holds_the_templates_conversation_and_the_model_names_the_outcome(
    talkers: Agents, openai: FakeOpenAI, sandbox: Sandbox
) -> None:
    openai.replies = [
        "Shall it come tomorrow?",
        ("end_call", {"outcome": "CONFIRMED", "goodbye": "Until tomorrow, Ada."}),
    ]
    body = {
        "configurations": {
            "prompt": "Confirm order {order} with {customer_name}.",
            "first_message": "Hello {customer_name}, about order {order}?",
            "outcomes": {"CONFIRMED": "the order stands", "CANCELLED": ""},
        },
        "payload": {"customer_name": "Ada", "order": 17},
    }
    call = Call(talkers, sandbox, body)

    async def scenario(caller: VoiceCaller) -> None:
        await call.join(caller)
        for number in (1, 2):
            await caller.until_told("bot-stopped-speaking", number)
            caller.say(speech("Certainly."))
        await caller.until(caller.over.is_set)

    call.play(scenario)
    ended = call.end()
    assert (ended.reason, ended.outcome) == ("bot_ended", "CONFIRMED")
    assert openai.asked[0]["messages"][0]["content"] == "Confirm order 17 with Ada."
    assert openai.asked[0]["tools"][0]["function"]["parameters"]["properties"]["outcome"]["enum"] == [
        "CONFIRMED",
        "CANCELLED",
    ]
    assert openai.spoken == ["Hello Ada, about order 17?", "Shall it come tomorrow?", "Until tomorrow, Ada."]
    assert spoken(ended, "user").startswith("Yes, please.")
    assert "Shall it come tomorrow?" in spoken(ended, "assistant")


def test_a_sentence_that_the_caller_has_heard_begin_is_in_the_transcript(
    talkers: Agents, openai: FakeOpenAI, sandbox: Sandbox
) -> None:
    openai.replies, openai.tone_seconds = ["A long answer."], 20
    call = Call(talkers, sandbox, {"configurations": {"first_message": "A long greeting."}, "payload": {}})

    async def scenario(caller: VoiceCaller) -> None:
        await call.join(caller)
        await caller.until_heard()
        caller.say(speech("Stop, please, I know all of this already."))  # may be taken for two turns
        await caller.until_told("bot-interrupted")
        await caller.until_told("bot-started-speaking", 2)
        heard = caller.loud_frames
        await caller.until(lambda: caller.loud_frames > heard + 10)  # and hangs up in the middle

    call.play(scenario)
    ended = call.end()
    assert ended.reason == "caller_left"
    assert ended.transcript[0]["content"] == "A long greeting."
    assert ended.transcript[-1]["content"] == "A long answer."


def test_a_bot_that_joined_before_the_claim_holds_the_conversation_of_the_template_that_claims_it(
    talkers: Agents, openai: FakeOpenAI, sandbox: Sandbox
) -> None:
    openai.replies = [("end_call", {"outcome": "CONFIRMED", "goodbye": "Until tomorrow."})]
    configurations = {
        "prompt": "Confirm order {order}.",
        "first_message": "Hello {customer_name}?",
        "outcomes": ["CONFIRMED", "CANCELLED"],
        "model": "a-model",
        "voice": "coral",
    }
    call = Call(talkers, sandbox, prejoin=True)
    payload = {"customer_name": "Ada", "order": 17}
    assert call.agent.send(Claimed(call.session, {"configurations": configurations, "payload": payload}))
    wait_until(call.agent.peer.flush)

    async def scenario(caller: VoiceCaller) -> None:
        await call.join(caller)
        await caller.until_told("bot-stopped-speaking")
        caller.say(speech("Certainly."))
        await caller.until(caller.over.is_set)

    call.play(scenario)
    assert call.end().outcome == "CONFIRMED"
    asked = openai.asked[0]
    assert (asked["model"], asked["messages"][0]["content"]) == ("a-model", "Confirm order 17.")
    assert asked["tools"][0]["function"]["parameters"]["properties"]["outcome"]["enum"] == ["CONFIRMED", "CANCELLED"]
    assert openai.spoken[0] == "Hello Ada?"
    assert set(openai.voices) == {"coral"}
