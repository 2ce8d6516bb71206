"""What the default bot says and how: taken from the body of its session, with defaults that hold a conversation."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_PROMPT = (
    "You are a friendly voice assistant on a call. Your words are spoken aloud: answer in one or two short sentences, "
    "without lists, symbols or emojis."
)
DEFAULT_FIRST_MESSAGE = "Hello! How can I help you?"


@dataclass(frozen=True)
class Script:
    """`language` is a BCP 47 tag or empty; `model` and `voice` are the provider's names or empty for its default."""

    prompt: str
    first_message: str
    language: str
    model: str
    voice: str

    @classmethod
    def from_body(cls, body: Any) -> "Script":
        """Of `{"configurations": {...}, "payload": {...}}`: texts may name fields of the payload as `{customer_name}`.

        Known configurations: `system_prompt` (or `prompt`), `first_message`, `language`, `model`, `voice`. Whatever is
        missing or is no text is left at its default.
        """
        body = body if isinstance(body, dict) else {}
        configurations = _mapping(body.get("configurations"))
        payload = _mapping(body.get("payload"))

        def text(*names: str, default: str = "") -> str:
            for name in names:
                value = configurations.get(name)
                if isinstance(value, str) and value.strip():
                    return _fill_in(value, payload)
            return default

        return cls(
            prompt=text("system_prompt", "prompt", default=DEFAULT_PROMPT),
            first_message=text("first_message", default=DEFAULT_FIRST_MESSAGE),
            language=text("language"),
            model=text("model"),
            voice=text("voice"),
        )


class _Fields(string.Formatter):
    """`{name}` and nothing more: attributes, indexes and conversions of what a caller sent are not for a template."""

    def get_field(self, field_name: str, args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        if field_name not in kwargs:
            return "{" + field_name + "}", field_name
        return str(kwargs[field_name]), field_name


def _fill_in(text: str, payload: Mapping[str, Any]) -> str:
    try:
        return _Fields().vformat(text, (), payload)
    except ValueError:  # a lone brace: the text is not meant to be filled in
        return text


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
