"""Deepgram's, Cartesia's and ElevenLabs' streams that a conversation needs, on one port: a transcript and a tone.

Pipecat's own services speak with it, given its `url`; only the providers are fakes. No Django in here.
"""

import base64
import json
import math
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

RATE = 24_000
TONE_SECONDS = 0.6  # how long each text is spoken
LOUD = 300  # of 32768, the root of the mean square: somebody speaks
WORDS_FRAMES = 4  # so many loud pieces of audio are words
PAUSE_FRAMES = 15  # so many quiet ones after them are the end of a sentence
_PIECE = 4800


@dataclass
class FakeVoices:
    """`transcript` is heard in each sentence of the caller. `spoken` has the provider and the text of each tone."""

    transcript: str
    url: str = ""
    spoken: list[tuple[str, str]] = field(default_factory=list)
    sentences: int = 0
    paths: list[str] = field(default_factory=list)

    def talk_to(self, client: ServerConnection) -> None:
        path = client.request.path if client.request else ""
        self.paths.append(path.partition("?")[0])
        with suppress(ConnectionClosed):
            self._provider_of(path)(client)

    def _provider_of(self, path: str) -> Callable[[ServerConnection], None]:
        providers = {
            "/v1/listen": self._deepgram_listens,
            "/v1/speak": self._deepgram_speaks,
            "/tts/websocket": self._cartesia_speaks,
            "/v1/text-to-speech/": self._elevenlabs_speaks,
        }
        return next(provider for prefix, provider in providers.items() if path.startswith(prefix))

    def _deepgram_listens(self, client: ServerConnection) -> None:
        loud = quiet = 0
        for message in client:
            if isinstance(message, bytes):
                is_loud = _loudness(message) > LOUD
                loud, quiet = (loud + 1, 0) if is_loud else (loud, quiet + 1)
                is_over = quiet > PAUSE_FRAMES
            else:
                kind = json.loads(message)["type"]
                if kind == "CloseStream":
                    return
                is_over = kind == "Finalize"
            if is_over and loud >= WORDS_FRAMES:
                loud = 0
                self.sentences += 1
                client.send(json.dumps(_deepgram_result(self.transcript, from_finalize=isinstance(message, str))))

    def _deepgram_speaks(self, client: ServerConnection) -> None:
        for message in client:
            wanted = json.loads(message)
            if wanted["type"] == "Speak":
                for piece in self._tone("deepgram", wanted["text"]):
                    client.send(piece)
            elif wanted["type"] == "Flush":
                client.send(json.dumps({"type": "Flushed", "sequence_id": 0}))
            elif wanted["type"] == "Clear":
                client.send(json.dumps({"type": "Cleared", "sequence_id": 0}))

    def _cartesia_speaks(self, client: ServerConnection) -> None:
        for message in client:
            wanted = json.loads(message)
            if "transcript" not in wanted:  # it cancels
                continue
            common = {"context_id": wanted["context_id"]}
            for piece in self._tone("cartesia", wanted["transcript"]):
                audio = base64.b64encode(piece).decode()
                client.send(json.dumps({**common, "type": "chunk", "done": False, "status_code": 206, "data": audio}))
            if not wanted.get("continue"):
                client.send(json.dumps({**common, "type": "done", "done": True, "status_code": 200}))

    def _elevenlabs_speaks(self, client: ServerConnection) -> None:
        for message in client:
            wanted = json.loads(message)
            context = wanted.get("context_id")
            for piece in self._tone("elevenlabs", wanted.get("text", "")):
                client.send(json.dumps({"contextId": context, "audio": base64.b64encode(piece).decode()}))
            if wanted.get("flush") or wanted.get("close_context"):
                client.send(json.dumps({"contextId": context, "isFinal": True}))
            if wanted.get("close_socket"):
                return

    def _tone(self, provider: str, text: str) -> Iterator[bytes]:
        if text.strip():
            self.spoken.append((provider, text.strip()))
            for begin in range(0, len(_TONE), _PIECE):
                yield _TONE[begin : begin + _PIECE]


def _loudness(audio: bytes) -> float:
    samples = struct.unpack(f"<{len(audio) // 2}h", audio)
    return math.sqrt(sum(sample * sample for sample in samples) / max(1, len(samples)))


def _deepgram_result(transcript: str, *, from_finalize: bool) -> dict[str, object]:
    nothing = "00000000-0000-0000-0000-000000000000"
    heard = {"transcript": transcript, "confidence": 0.99, "words": [], "languages": ["en"]}
    model = {"name": "fake", "version": "1", "arch": "fake"}
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "start": 0.0,
        "duration": 1.0,
        "is_final": True,
        "speech_final": True,
        "from_finalize": from_finalize,
        "channel": {"alternatives": [heard]},
        "metadata": {"request_id": nothing, "model_uuid": nothing, "model_info": model},
    }


_TONE = b"".join(
    struct.pack("<h", int(8000 * math.sin(2 * math.pi * 440 * n / RATE))) for n in range(int(RATE * TONE_SECONDS))
)


@contextmanager
def running_voices(transcript: str, port: int = 0) -> Iterator[FakeVoices]:
    fake = FakeVoices(transcript)
    server: Server = serve(fake.talk_to, "127.0.0.1", port)
    fake.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
