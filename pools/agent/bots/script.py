"""Reads from the session's body what the default bot says and how; defaults suffice for a conversation."""

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT_PROMPT = (
    "You are a friendly voice assistant on a call. Your words are spoken aloud: answer in one or two short sentences, "
    "without lists, symbols or emojis."
)
DEFAULT_FIRST_MESSAGE = "Hello! This is Breeze Buddy."
DEFAULT_FIRST_MESSAGE_TO = "Hello {name}! This is Breeze Buddy."
NAMES = ("customer_name", "name", "user_name", "first_name")  # fields of the payload with the name to greet


@dataclass(frozen=True)
class ServiceChoice:
    """A template's choice of one service; empty values are left to the settings or the provider."""

    provider: str = ""
    model: str = ""
    voice: str = ""
    temperature: float | None = None


@dataclass(frozen=True)
class Script:
    """`language` is a BCP 47 tag or empty. `outcomes`: the template's words for how a call may end, and their meaning.

    `stream`: the client decides what is said (DAILY_STREAM); there is no language model and no first message. `phone`:
    the bot talks to a phone.
    """

    prompt: str
    first_message: str
    language: str = ""
    stt: ServiceChoice = ServiceChoice()
    llm: ServiceChoice = ServiceChoice()
    tts: ServiceChoice = ServiceChoice()
    outcomes: Mapping[str, str] = field(default_factory=dict)
    stream: bool = False
    phone: bool = False

    @classmethod
    def from_body(cls, body: Any) -> "Script":
        """Of `{"configurations": {...}, "payload": {...}}`: texts may name fields of the payload as `{customer_name}`.

        Known configurations: `system_prompt` (or `prompt`), `first_message`, `language`, `stt`, `llm`, `tts` (see
        `providers`; `model` and `voice` alone mean those of `llm` and `tts`) and `outcomes` (a list of words, or
        words with what they mean). Whatever is missing or of another type is left at its default.
        """
        body = _mapping(body)
        configurations = _mapping(body.get("configurations"))
        payload = _mapping(body.get("payload"))

        def text(*names: str, default: str = "") -> str:
            for name in names:
                value = configurations.get(name)
                if isinstance(value, str) and value.strip():
                    return _fill_in(value, payload)
            return default

        def choice(part: str) -> ServiceChoice:
            return _service_choice(configurations.get(part), model=text("model") if part == "llm" else "")

        tts = choice("tts")
        return cls(
            prompt=text("system_prompt", "prompt", default=DEFAULT_PROMPT),
            first_message=text("first_message", default=_greeting(payload)),
            language=text("language"),
            stt=choice("stt"),
            llm=choice("llm"),
            tts=tts if tts.voice else ServiceChoice(tts.provider, tts.model, text("voice"), tts.temperature),
            outcomes=_outcomes(configurations.get("outcomes")),
            stream=body.get("execution_mode") == "DAILY_STREAM",
            phone=body.get("execution_mode") in ("TELEPHONY", "TELEPHONY_TEST"),
        )


def _greeting(payload: Mapping[str, Any]) -> str:
    for name in NAMES:
        value = payload.get(name)
        if isinstance(value, str) and value.strip():
            return DEFAULT_FIRST_MESSAGE_TO.format(name=value.strip())
    return DEFAULT_FIRST_MESSAGE


def _service_choice(value: object, *, model: str) -> ServiceChoice:
    if isinstance(value, str):  # {"tts": "cartesia"}
        value = {"provider": value}
    chosen = _mapping(value)

    def text(name: str) -> str:
        return chosen[name].strip() if isinstance(chosen.get(name), str) else ""

    temperature = chosen.get("temperature")
    number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    return ServiceChoice(
        provider=text("provider").lower(),
        model=text("model") or model,
        voice=text("voice"),
        temperature=temperature if number else None,
    )


def _outcomes(value: object) -> dict[str, str]:
    if isinstance(value, dict):
        return {word: meaning for word, meaning in value.items() if isinstance(meaning, str) and word.strip()}
    if isinstance(value, list):
        return {word: "" for word in value if isinstance(word, str) and word.strip()}
    return {}


class _Fields(string.Formatter):
    """A formatter that allows `{name}` only: no attributes, indexes or conversions of a caller's values."""

    def get_field(self, field_name: str, args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        if field_name not in kwargs:
            return "{" + field_name + "}", field_name
        return str(kwargs[field_name]), field_name


def _fill_in(text: str, payload: Mapping[str, Any]) -> str:
    try:
        return _Fields().vformat(text, (), payload)
    except ValueError:  # a single brace: the text is not a format string
        return text


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
