"""What the default bot takes from the body of a session."""

from typing import Any

import pytest

from pools.agent.bots.script import DEFAULT_FIRST_MESSAGE, DEFAULT_PROMPT, Script, ServiceChoice


@pytest.mark.parametrize(
    "body", [None, {}, [], "text", {"configurations": None}, {"configurations": {"prompt": 7, "first_message": "  "}}]
)
def test_a_body_that_says_nothing_gets_the_defaults(body: Any) -> None:
    assert Script.from_body(body) == Script(DEFAULT_PROMPT, DEFAULT_FIRST_MESSAGE)


def test_configurations_are_filled_in_with_the_payload() -> None:
    body = {
        "configurations": {
            "system_prompt": "Confirm order {order_id} with {customer}.",
            "first_message": "Hello {customer}, {unknown}?",
            "language": "hi",
            "model": "gpt-4.1-mini",
            "voice": "a-voice",
        },
        "payload": {"customer": "Ada", "order_id": 17},
    }
    assert Script.from_body(body) == Script(
        "Confirm order 17 with Ada.",
        "Hello Ada, {unknown}?",
        "hi",
        llm=ServiceChoice(model="gpt-4.1-mini"),
        tts=ServiceChoice(voice="a-voice"),
    )


def test_services_are_chosen_with_their_parameters() -> None:
    configurations = {
        "stt": "Deepgram",
        "llm": {"provider": "openai", "model": "gpt-4.1", "temperature": 0.2},
        "tts": {"provider": "cartesia", "voice": "v", "model": 5},
        "voice": "not this one",
    }
    script = Script.from_body({"configurations": configurations})
    assert (script.stt, script.llm, script.tts) == (
        ServiceChoice("deepgram"),
        ServiceChoice("openai", "gpt-4.1", temperature=0.2),
        ServiceChoice("cartesia", voice="v"),
    )


@pytest.mark.parametrize(
    ("outcomes", "understood"),
    [
        (["CONFIRMED", "", 3], {"CONFIRMED": ""}),
        ({"CONFIRMED": "the order stands", "NO": 1}, {"CONFIRMED": "the order stands"}),
        ("CONFIRMED", {}),
    ],
)
def test_outcomes_are_words_with_or_without_their_meaning(outcomes: Any, understood: dict[str, str]) -> None:
    assert Script.from_body({"configurations": {"outcomes": outcomes}}).outcomes == understood


@pytest.mark.parametrize("name", ["customer_name", "name", "user_name", "first_name"])
def test_without_a_first_message_the_caller_is_greeted_by_name(name: str) -> None:
    assert Script.from_body({"payload": {name: " Ada "}}).first_message == "Hello Ada! This is Breeze Buddy."


def test_in_stream_mode_the_client_decides_what_is_said() -> None:
    assert Script.from_body({"execution_mode": "DAILY_STREAM"}).stream
    assert not Script.from_body({"execution_mode": "DAILY"}).stream


@pytest.mark.parametrize(
    "text", ["{customer.__class__}", "{customer[0]}", "{0}", "{}", "{customer", "}", "{{", '{"json": "example"}']
)
def test_a_text_is_no_program(text: str) -> None:
    body = {"configurations": {"prompt": text}, "payload": {"customer": "Ada"}}
    assert "class" not in Script.from_body(body).prompt.replace("__class__", "")
    assert "Ada" not in Script.from_body(body).prompt
