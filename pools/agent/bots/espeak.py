"""A voice that needs no provider: espeak-ng, which speaks about a hundred languages, from a wheel, without network.

It is synchronous (it starts no threads), takes about 10 ms for a sentence, and is loaded when it first speaks: in the
agent's own process, after the fork.
"""

import asyncio
import ctypes
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import espeakng_loader
from pipecat.frames.frames import Frame
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService

_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: samples go to the callback, in the thread that asked
_NO_EXIT = 0x8000  # espeak_Initialize: report an error instead of ending the process
_UTF8 = 1
_CHARACTERS = 1  # espeak_POSITION_TYPE
_RATE, _WORDS_PER_MINUTE = 1, 165  # espeak_PARAMETER
_CHUNK_BYTES = 4096
DEFAULT_LANGUAGE = "en-us"

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """The library, of which a process has one."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.sample_rate = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, _NO_EXIT))
        if self.sample_rate <= 0:
            raise OSError(f"espeak-ng does not find its data in {data.decode()}")
        self._samples = bytearray()
        self._callback = _Callback(self._take)  # must outlive the library's use of it
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_SetParameter(_RATE, _WORDS_PER_MINUTE, 0)

    def speak(self, text: str, language: str = DEFAULT_LANGUAGE) -> bytes:
        """`text` as 16-bit mono samples. A language that it does not know is read as English."""
        if not self._has(language) and not self._has(language.partition("-")[0]):
            self._has(DEFAULT_LANGUAGE)
        self._samples.clear()
        encoded = text.encode("utf-8", "replace")
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
        return bytes(self._samples)

    def _has(self, language: str) -> bool:
        return bool(self._library.espeak_SetVoiceByName(language.lower().encode("ascii", "replace")) == 0)

    def _take(self, samples: Any, number: int, _events: Any) -> int:
        if samples and number > 0:
            self._samples += ctypes.string_at(samples, number * 2)
        return 0  # go on


class EspeakTTSService(TTSService):
    """espeak-ng as one of Pipecat's voices. What is said first can be prepared before there is anybody to hear it."""

    def __init__(self, language: str = "", **kwargs: Any) -> None:
        settings = TTSSettings(model=None, voice=None, language=None)
        super().__init__(push_start_frame=True, push_stop_frames=True, settings=settings, **kwargs)
        self._spoken_language = language or DEFAULT_LANGUAGE
        self._espeak: Espeak | None = None
        self._one_at_a_time = asyncio.Lock()
        self._prepared: dict[str, asyncio.Task[bytes]] = {}

    def can_generate_metrics(self) -> bool:
        return True

    def prepare(self, text: str, language: str = "") -> None:
        """Begin to synthesise what will be said; `language` is that of all that follows."""
        self._spoken_language = language or self._spoken_language
        self._prepared[text] = asyncio.get_running_loop().create_task(self._speak(text))

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        prepared = self._prepared.pop(text, None)
        samples = await (prepared or self._speak(text))
        async for frame in self._stream_audio_frames_from_iterator(
            _chunks(samples), in_sample_rate=self._sample_rate_of_voice, context_id=context_id
        ):
            await self.stop_ttfb_metrics()
            yield frame

    @property
    def _sample_rate_of_voice(self) -> int:
        return self._espeak.sample_rate if self._espeak else self.sample_rate

    async def _speak(self, text: str) -> bytes:
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._speak_now, text)

    def _speak_now(self, text: str) -> bytes:
        if self._espeak is None:
            self._espeak = Espeak()
        return self._espeak.speak(text, self._spoken_language)


async def _chunks(samples: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(samples), _CHUNK_BYTES):
        yield samples[start : start + _CHUNK_BYTES]
