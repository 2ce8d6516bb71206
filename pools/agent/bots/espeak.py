"""A voice that needs no provider: espeak-ng, which speaks about a hundred languages, from a wheel, without network.

It is synchronous (it starts no threads), takes about 10 ms for a sentence, and is loaded in the agent's own process:
while that is idle, or when it first speaks.
"""

import asyncio
import ctypes
import functools
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import espeakng_loader
import numpy as np
import soxr
from pipecat.frames.frames import Frame
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService

_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: samples go to the callback, in the thread that asked
_NO_EXIT = 0x8000  # espeak_Initialize: report an error instead of ending the process
_UTF8 = 1
_PAUSE_AT_THE_END = 0x1000
_CHARACTERS = 1  # espeak_POSITION_TYPE
_RATE, _WORDS_PER_MINUTE = 1, 165  # espeak_PARAMETER
_CHUNK_BYTES = 4096
_PIPELINE_RATE = 24_000
# Not after what may be an abbreviation: "Mr. Smith" does not end a sentence.
_END_OF_SENTENCE = re.compile(r"(?<=[!?])\s+|(?<=\w{4}\.)\s+")
DEFAULT_LANGUAGE = "en-us"

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """The library; a process has one."""

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

    def speak(self, text: str, language: str = DEFAULT_LANGUAGE, *, goes_on: bool = False) -> bytes:
        """`text` as 16-bit mono samples; if it `goes_on`, with a pause after it. An unknown language is read as
        English."""
        if not self._has(language) and not self._has(language.partition("-")[0]):
            self._has(DEFAULT_LANGUAGE)
        self._samples.clear()
        encoded = text.encode("utf-8", "replace")
        flags = _UTF8 | (_PAUSE_AT_THE_END if goes_on else 0)
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, _CHARACTERS, 0, flags, None, None)
        return bytes(self._samples)

    def _has(self, language: str) -> bool:
        return bool(self._library.espeak_SetVoiceByName(language.lower().encode("ascii", "replace")) == 0)

    def _take(self, samples: Any, number: int, _events: Any) -> int:
        if samples and number > 0:
            self._samples += ctypes.string_at(samples, number * 2)
        return 0  # go on


@functools.cache
def library() -> Espeak:
    """Return the library of this process; the first call loads it."""
    return Espeak()


class EspeakTTSService(TTSService):
    """espeak-ng as one of Pipecat's voices. What is said first can be prepared before there is anybody to hear it.

    A text is synthesised sentence by sentence, so that the first is heard before the last is there; and at the rate of
    Pipecat's pipelines, in the same thread, so that the loop has nothing to resample while somebody waits.
    """

    def __init__(self, language: str = "", **kwargs: Any) -> None:
        settings = TTSSettings(model=None, voice=None, language=None)
        super().__init__(
            push_start_frame=True, push_stop_frames=True, settings=settings, sample_rate=_PIPELINE_RATE, **kwargs
        )
        self._spoken_language = language or DEFAULT_LANGUAGE
        self._one_at_a_time = asyncio.Lock()
        self._prepared: dict[str, list[asyncio.Task[bytes]]] = {}

    def can_generate_metrics(self) -> bool:
        return True

    def prepare(self, text: str, language: str = "") -> None:
        """Begin to synthesise what will be said later; `language` applies to everything that follows."""
        self._spoken_language = language or self._spoken_language
        self._prepared[text] = self._begin(text)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        sentences = self._prepared.pop(text, None) or self._begin(text)
        try:
            async for frame in self._stream_audio_frames_from_iterator(
                _chunks(sentences), in_sample_rate=_PIPELINE_RATE, context_id=context_id
            ):
                await self.stop_ttfb_metrics()
                yield frame
        finally:
            for sentence in sentences:
                sentence.cancel()

    def _begin(self, text: str) -> list[asyncio.Task[bytes]]:
        sentences = _END_OF_SENTENCE.split(text)
        goes_on = [True] * (len(sentences) - 1) + [False]
        loop = asyncio.get_running_loop()
        return [loop.create_task(self._speak(*each)) for each in zip(sentences, goes_on, strict=True)]

    async def _speak(self, sentence: str, goes_on: bool) -> bytes:
        async with self._one_at_a_time:  # in the order of the requests
            return await asyncio.to_thread(_samples_of, sentence, self._spoken_language, goes_on)


def _samples_of(sentence: str, language: str, goes_on: bool) -> bytes:
    espeak = library()
    spoken = np.trim_zeros(np.frombuffer(espeak.speak(sentence, language, goes_on=goes_on), dtype=np.int16), "f")
    resampled: np.ndarray = soxr.resample(spoken, espeak.sample_rate, _PIPELINE_RATE)
    return resampled.tobytes()


async def _chunks(sentences: list[asyncio.Task[bytes]]) -> AsyncIterator[bytes]:
    for sentence in sentences:
        samples = await sentence
        for start in range(0, len(samples), _CHUNK_BYTES):
            yield samples[start : start + _CHUNK_BYTES]
            await asyncio.sleep(0)  # the first is on its way to the caller before the others are looked at
