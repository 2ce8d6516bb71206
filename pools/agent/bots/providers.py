"""Chooses the default bot's services (speech to text, model, voice): by the template, else by settings, else by keys.

A template says `{"stt": {"provider": "deepgram", "model": ...}, "llm": {...}, "tts": {"provider": ..., "voice": ...}}`;
VOICE_AGENT_STT, VOICE_AGENT_LLM and VOICE_AGENT_TTS name a provider for all templates that do not. Without either it
is the first one in the lists below for which there is a key. A provider without a key is as good as none.

What a template that says nothing gets is made before anybody calls (`make_ahead`), and so are the connections to
OpenAI, whatever is said over them.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from loguru import logger
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.cartesia.stt import CartesiaSTTService
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.deepgram.tts import DeepgramTTSService
from pipecat.services.llm_service import LLMService
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.tts_service import TTSService

from pools.agent.bots import openai_connections
from pools.agent.bots.openai_connections import ConnectedLLMService
from pools.agent.bots.script import Script, ServiceChoice

DEFAULT_VOICE = (
    "71a7ad14-091c-4e8e-a314-022ece01c121"  # Cartesia's "British Reading Lady", the voice of Pipecat's examples
)
S = TypeVar("S", bound=FrameProcessor)
Maker = Callable[[ServiceChoice, str, Script], S]


def given(**values: Any) -> dict[str, Any]:
    """Return only the values that were chosen; empty ones are left to the provider's default."""
    return {name: value for name, value in values.items() if value not in ("", None)}


def _openai(**values: Any) -> dict[str, Any]:
    return given(base_url=os.environ.get("OPENAI_BASE_URL", ""), **values)


def _deepgram_stt(choice: ServiceChoice, key: str, script: Script) -> FrameProcessor:
    settings = DeepgramSTTService.Settings(**given(model=choice.model, language=script.language))
    return DeepgramSTTService(api_key=key, settings=settings)


def _cartesia_stt(choice: ServiceChoice, key: str, script: Script) -> FrameProcessor:
    settings = CartesiaSTTService.Settings(**given(model=choice.model, language=script.language))
    return CartesiaSTTService(api_key=key, settings=settings)


def _openai_stt(choice: ServiceChoice, key: str, script: Script) -> FrameProcessor:
    settings = OpenAISTTService.Settings(**given(model=choice.model, language=script.language))
    return OpenAISTTService(settings=settings, http_client=openai_connections.client(), **_openai(api_key=key))


def _openai_llm(choice: ServiceChoice, key: str, script: Script) -> LLMService[Any]:
    settings = ConnectedLLMService.Settings(
        system_instruction=script.prompt, **given(model=choice.model, temperature=choice.temperature)
    )
    return ConnectedLLMService(settings=settings, **_openai(api_key=key))


def _cartesia_tts(choice: ServiceChoice, key: str, script: Script) -> TTSService:
    voice = choice.voice or os.environ.get("CARTESIA_VOICE_ID", "") or DEFAULT_VOICE
    settings = CartesiaTTSService.Settings(voice=voice, **given(model=choice.model, language=script.language))
    return CartesiaTTSService(api_key=key, settings=settings)


def _deepgram_tts(choice: ServiceChoice, key: str, script: Script) -> TTSService:
    settings = DeepgramTTSService.Settings(**given(voice=choice.voice, model=choice.model))
    return DeepgramTTSService(api_key=key, settings=settings)


def _openai_tts(choice: ServiceChoice, key: str, script: Script) -> TTSService:
    settings = OpenAITTSService.Settings(**given(voice=choice.voice, model=choice.model))
    return OpenAITTSService(settings=settings, http_client=openai_connections.client(), **_openai(api_key=key))


SPEECH_TO_TEXT: dict[str, Maker[FrameProcessor]] = {
    "deepgram": _deepgram_stt,
    "cartesia": _cartesia_stt,
    "openai": _openai_stt,
}
LANGUAGE_MODELS: dict[str, Maker[LLMService[Any]]] = {"openai": _openai_llm}
VOICES: dict[str, Maker[TTSService]] = {"cartesia": _cartesia_tts, "deepgram": _deepgram_tts, "openai": _openai_tts}


_ALL: dict[str, Mapping[str, Maker[Any]]] = {
    "VOICE_AGENT_STT": SPEECH_TO_TEXT,
    "VOICE_AGENT_LLM": LANGUAGE_MODELS,
    "VOICE_AGENT_TTS": VOICES,
}

# Providers with a stream per call. Unused, it would time out, so it is not opened before a call.
_STREAMS = {"deepgram": "api.deepgram.com", "cartesia": "api.cartesia.ai"}

_made: dict[tuple[str, ...], Any] = {}  # services made ahead, by the settings that a session must want to get one
_chosen: dict[str, str] | None = None  # providers by setting


def speech_to_text(script: Script) -> FrameProcessor | None:
    return _service("VOICE_AGENT_STT", SPEECH_TO_TEXT, script.stt, script)


def language_model(script: Script) -> LLMService[Any] | None:
    return _service("VOICE_AGENT_LLM", LANGUAGE_MODELS, script.llm, script)


def voice(script: Script) -> TTSService | None:
    return _service("VOICE_AGENT_TTS", VOICES, script.tts, script)


def make_ahead() -> None:
    """Make the services of a script without choices of its own, before a caller comes. Later calls do nothing."""
    global _chosen
    if _chosen is not None:
        return
    _chosen, script = {}, Script.from_body(None)
    for setting, makers in _ALL.items():
        if provider := _provider(setting, makers, ""):
            _chosen[setting] = provider
            choice = ServiceChoice(provider)
            _made[_key(setting, choice, script)] = makers[provider](choice, _api_key(provider), script)


def is_chosen(setting: str) -> bool:
    """Return whether `make_ahead` has found a provider for a setting."""
    return setting in (_chosen or {})


async def connect() -> None:
    """Open the connections that the services made ahead will use, and look up host names."""
    chosen = list((_chosen or {}).values())
    loop = asyncio.get_running_loop()
    look_ups = [loop.getaddrinfo(_STREAMS[provider], 443) for provider in sorted(set(chosen) & set(_STREAMS))]
    connections = openai_connections.open_connections(chosen.count("openai"))
    for problem in await asyncio.gather(connections, *look_ups, return_exceptions=True):
        if isinstance(problem, Exception):
            raise problem


def _service(setting: str, makers: Mapping[str, Maker[S]], choice: ServiceChoice, script: Script) -> S | None:
    provider = _provider(setting, makers, choice.provider)
    if provider is None:
        return None
    choice = replace(choice, provider=provider)
    made: S | None = _made.pop(_key(setting, choice, script), None)
    return made or makers[provider](choice, _api_key(provider), script)


def _key(setting: str, choice: ServiceChoice, script: Script) -> tuple[str, ...]:
    """Return the key by which a service that was made ahead is found."""
    prompt = script.prompt if setting == "VOICE_AGENT_LLM" else ""
    return (setting, repr(choice), script.language, prompt)


def _api_key(provider: str) -> str:
    return os.environ.get(f"{provider.upper()}_API_KEY", "")


def _provider(setting: str, makers: Mapping[str, Any], wanted: str) -> str | None:
    """Return the chosen provider, if there is a key for it."""
    wanted = wanted or os.environ.get(setting, "").strip().lower()
    if wanted and wanted not in makers:
        logger.warning(f"provider {wanted!r} is not known here; known for {setting}: {', '.join(makers)}")
        wanted = ""
    for provider in [wanted] if wanted else makers:
        if _api_key(provider):
            return provider
    if wanted:
        logger.warning(f"{wanted.upper()}_API_KEY is not set: this call goes without {wanted}")
    return None
