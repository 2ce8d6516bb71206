"""A bot that was written for Daily, in rooms of the sandbox: what it can do there, and what is refused by name."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pools.protocol import CallerJoined, Ended, FirstAudio, Go
from tests.support.agents import PROVIDER_KEY, Agents, config, running_agents
from tests.support.daily_sandbox import Sandbox, running_sandbox
from tests.support.speech import speech
from tests.support.voice_calls import Call
from tests.support.waiting import wait_until
from trials.bench.voice_caller import VoiceCaller


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(limits_enabled=False) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def agents() -> Iterator[Agents]:
    with running_agents("zygote", config("daily_only")) as agents:
        yield agents


def ended(call: Call) -> Ended:
    while not isinstance(message := call.agent.next(), Ended):
        assert message is not None
    return message


def call_without_a_page(agents: Agents, sandbox: Sandbox, body: dict[str, Any], **room: Any) -> Ended:
    """A simulated caller comes and, once it is seen, goes."""
    call = Call(agents, sandbox, body, room=room)
    ada = sandbox.join(call.room, call.token)
    call.agent.expect(CallerJoined)
    call.agent.expect(FirstAudio)
    if body.get("ends_on") is None:
        sandbox.leave(call.room, ada)
    return ended(call)


def test_it_gets_dailys_arguments_and_every_event_once(agents: Agents, sandbox: Sandbox) -> None:
    end = call_without_a_page(agents, sandbox, {"params": {"transcription_enabled": True}})
    assert (end.reason, end.error) == ("caller_left", "")
    assert (end.never_spoke, end.never_heard) == (False, True), "the caller was spoken to, and said nothing"
    said = end.detail
    assert (said["arguments"], said["transport"]) == ("DailyRunnerArguments", "DailyTransport")
    assert said["events"] == [
        *("on_joined", "on_first_participant_joined", "on_participant_joined", "on_client_connected"),
        *("on_participant_left", "on_client_disconnected", "on_left"),
    ]
    assert (said["callers"], said["counts"], said["heard"]) == (["Pipecat Bot", "Ada"], 2, True)


@pytest.mark.parametrize("user_tracks", [True, False], ids=["a track of each", "all of them mixed"])
def test_it_hears_a_page_and_exchanges_messages_with_it(agents: Agents, sandbox: Sandbox, user_tracks: bool) -> None:
    call = Call(agents, sandbox, {"params": {"audio_in_user_tracks": user_tracks}})

    async def scenario(caller: VoiceCaller) -> None:
        await call.join(caller)
        caller.say(speech("Hello."))
        await caller.send({"type": "a-question"})
        await caller.until_said()
        await caller.until(lambda: {"hello": caller.id} in caller.messages)

    call.play(scenario)
    said = ended(call).detail
    assert said["message"]["type"] == "a-question"
    assert said["heard"]
    assert said["events"].count("on_client_connected") == said["events"].count("on_client_disconnected") == 1


def test_it_dials_a_phone_and_records(agents: Agents, sandbox: Sandbox) -> None:
    sandbox.set_phone(behaviour="answer", after_s=0.1, talk_s=0.1)
    body = {"do": ["dial", "record"], "ends_on": "on_dialout_stopped"}
    end = call_without_a_page(agents, sandbox, body, enable_dialout=True, enable_recording="cloud")
    assert (end.detail["dial"], end.detail["record"]) == (True, True)
    dialled = [event for event in end.detail["events"] if event.startswith(("on_dialout", "on_recording"))]
    assert sorted(dialled) == [
        *("on_dialout_answered", "on_dialout_connected", "on_dialout_stopped"),
        *("on_recording_started", "on_recording_stopped"),
    ]


def test_a_room_that_does_not_allow_it_is_dialled_out_of_and_recorded_by_nobody(
    agents: Agents, sandbox: Sandbox
) -> None:
    end = call_without_a_page(agents, sandbox, {"do": ["dial", "record"]})
    assert "enable_dialout" in end.detail["dial"]
    assert "does not allow cloud recordings" in end.detail["record"]


def test_what_the_sandbox_cannot_do_is_refused_by_name_and_is_the_sessions_error(
    agents: Agents, sandbox: Sandbox
) -> None:
    end = call_without_a_page(agents, sandbox, {"do": ["look", "press", "eject"]})
    cannot = "the sandbox cannot do this, Daily can: "
    assert end.detail["look"] == f"{cannot}see the camera of a participant (set_video_renderer)"
    assert end.detail["press"] == f"{cannot}CallClient.send_dtmf"
    assert end.detail["eject"] == f"{cannot}CallClient.eject_remote_participants"
    assert end.error == end.detail["look"]


def test_the_first_thing_that_does_not_work_is_the_error_of_a_call_in_which_nothing_was_said(
    agents: Agents, sandbox: Sandbox
) -> None:
    call = Call(agents, sandbox, {"error": f"401: {PROVIDER_KEY} is no key of ours, says +919876543210"})
    sandbox.join(call.room, call.token)
    end = ended(call)
    assert (end.reason, end.never_spoke, end.never_heard) == ("bot_ended", True, True)
    assert end.error.startswith("Ear#") and end.error.endswith(": 401: [redacted] is no key of ours, says [redacted]")


def test_a_room_that_refuses_it_ends_the_session_and_says_why(agents: Agents, sandbox: Sandbox) -> None:
    agent = agents.start()
    url = sandbox.create_room(privacy="private")["url"]
    token = sandbox.token(sandbox.create_room()["name"], user_id="bot")  # of another room
    start = agent.start({}, room_url=url, token=token)
    agent.send(Go(start.session, start.attempt))
    end = agent.expect(Ended)
    assert end.reason == "join_failed"
    assert "not-allowed" in end.error and token not in end.error


def test_a_bot_that_returns_before_it_has_joined_is_seen(agents: Agents, sandbox: Sandbox) -> None:
    room = sandbox.create_room()["name"]
    agent = agents.start()
    start = agent.start({"returns": True}, room_url=f"{sandbox.url}/{room}", token=sandbox.token(room))
    assert agent.send(Go(start.session, start.attempt))
    end = agent.expect(Ended)
    assert (end.reason, end.error) == ("bot_ended", "the bot returned without having joined its room")


def test_it_leaves_no_presence_when_it_is_killed(agents: Agents, sandbox: Sandbox) -> None:
    call = Call(agents, sandbox)
    call.agent.peer.kill()
    wait_until(lambda: not sandbox.participants(call.room))


def test_a_caller_who_went_before_the_page_had_connected_was_there(agents: Agents, sandbox: Sandbox) -> None:
    call = Call(agents, sandbox)

    async def join_without_an_offer() -> None:
        async with VoiceCaller() as caller:
            await caller._enter(call.url, call.token, None)

    asyncio.run(join_without_an_offer())
    events = ended(call).detail["events"]
    assert (events.count("on_client_connected"), events.count("on_client_disconnected")) == (1, 1)
