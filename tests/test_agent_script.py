"""What the default bot takes from the body of a session."""

from typing import Any

import pytest

from pools.agent.bots.script import DEFAULT_FIRST_MESSAGE, DEFAULT_PROMPT, Script


@pytest.mark.parametrize(
    "body", [None, {}, [], "text", {"configurations": None}, {"configurations": {"prompt": 7, "first_message": "  "}}]
)
def test_a_body_that_says_nothing_gets_the_defaults(body: Any) -> None:
    assert Script.from_body(body) == Script(DEFAULT_PROMPT, DEFAULT_FIRST_MESSAGE, "", "", "")


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
        "Confirm order 17 with Ada.", "Hello Ada, {unknown}?", "hi", "gpt-4.1-mini", "a-voice"
    )


@pytest.mark.parametrize(
    "text", ["{customer.__class__}", "{customer[0]}", "{0}", "{}", "{customer", "}", "{{", '{"json": "example"}']
)
def test_a_text_is_no_program(text: str) -> None:
    body = {"configurations": {"prompt": text}, "payload": {"customer": "Ada"}}
    assert "class" not in Script.from_body(body).prompt.replace("__class__", "")
    assert "Ada" not in Script.from_body(body).prompt
