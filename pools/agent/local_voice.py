"""Carries voices in a room of the sandbox: between the bot and its caller, over WebRTC (aiortc).

One clock gives the pace to what the bot says, whether a page listens or nobody does: a chunk that has been written is
done when it has been spoken. Imported by the warm-up of a process whose bot uses Pipecat.
"""

import asyncio
import contextlib
import fractions
import json
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, AudioResampler

logger = logging.getLogger(__name__)

FRAME_SECONDS = 0.02
_CATCH_UP_SECONDS = 1.0  # after a longer delay of the event loop, the rest is not made up for
_UNSENT_FRAMES = 50
_UNSENT_MESSAGES = 1000

Done = Callable[[int], None]
"""Told how many samples were spoken."""
Hear = Callable[[AudioFrame | None], None]
"""Takes what a caller says; None is 20 ms of silence."""


class AudioSource:
    """Takes what the bot says: 16-bit samples, interleaved."""

    def __init__(self, sample_rate: int, channels: int, auto_silence: bool = True) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self.written = asyncio.Event()
        self._chunks: deque[tuple[bytes, Done | None, int]] = deque()  # the last piece of a chunk says when it is done
        self._piece = int(sample_rate * FRAME_SECONDS) * channels * 2

    def write_frames(self, frames: bytes, completion: Done | None = None) -> int:
        samples = len(frames) // (2 * self.channels)
        pieces = [frames[begin : begin + self._piece] for begin in range(0, len(frames), self._piece)] or [b""]
        for piece in pieces[:-1]:
            self._chunks.append((piece, None, 0))
        self._chunks.append((pieces[-1], completion, samples))
        self.written.set()
        return samples

    def take(self) -> bytes:
        """Return the next 20 ms, filled with silence."""
        taken = bytearray()
        while self._chunks and len(taken) + len(self._chunks[0][0]) <= self._piece:
            piece, done, samples = self._chunks.popleft()
            taken += piece
            if done is not None:
                done(samples)
        if not self._chunks:
            self.written.clear()
        return bytes(taken) + bytes(self._piece - len(taken))


class Voice:
    """Plays the bot's voice in real time: takes it from its source and gives it to all connections."""

    def __init__(self, source: AudioSource) -> None:
        self._source = source
        self._listeners: list[VoiceTrack] = []
        self._speaking = asyncio.get_running_loop().create_task(self._speak())

    def listener(self) -> "VoiceTrack":
        """Return a track for one more connection."""
        track = VoiceTrack(self._source.sample_rate, self._source.channels)
        self._listeners.append(track)
        self._source.written.set()
        return track

    def forget(self, track: "VoiceTrack") -> None:
        if track in self._listeners:
            self._listeners.remove(track)

    def close(self) -> None:
        self._speaking.cancel()

    async def _speak(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            if not self._listeners:  # nobody needs silence to be sent
                await self._source.written.wait()
            due = max(due + FRAME_SECONDS, clock() - _CATCH_UP_SECONDS)
            if clock() - due > FRAME_SECONDS and not self._listeners:
                due = clock()  # nothing was said for a while
            await asyncio.sleep(due - clock())
            samples = self._source.take()
            for track in self._listeners:
                track.put(samples)


class VoiceTrack(MediaStreamTrack):
    """The bot's voice as one connection carries it."""

    kind = "audio"

    def __init__(self, rate: int, channels: int) -> None:
        super().__init__()
        self._rate = rate
        self._layout = "stereo" if channels == 2 else "mono"
        self._channels = channels
        self._position = 0
        self._frames: asyncio.Queue[bytes] = asyncio.Queue(_UNSENT_FRAMES)

    def put(self, samples: bytes) -> None:
        if self._frames.full():  # nobody is connected: keep the newest frames
            self._frames.get_nowait()
        self._frames.put_nowait(samples)

    def skip(self) -> None:
        """Drop what was said before anybody could hear it."""
        while not self._frames.empty():
            self._frames.get_nowait()

    async def recv(self) -> AudioFrame:
        samples = await self._frames.get()
        length = len(samples) // (2 * self._channels)
        frame = AudioFrame(format="s16", layout=self._layout, samples=length)
        frame.planes[0].update(samples)
        frame.sample_rate, frame.pts = self._rate, self._position
        frame.time_base = fractions.Fraction(1, self._rate)
        self._position += length
        return frame


class AudioData(NamedTuple):
    """A frame of audio for a renderer, with the SDK's names."""

    audio_frames: bytes
    sample_rate: int
    num_channels: int = 1
    bits_per_sample: int = 16

    @property
    def num_audio_frames(self) -> int:
        return len(self.audio_frames) // 2


class Renderer:
    """Passes a caller's voice to a callback, at the sample rate that it wants."""

    def __init__(self, callback: Callable[[AudioData], None], sample_rate: int) -> None:
        self._callback = callback
        self._rate = sample_rate
        self._resampler = AudioResampler(format="s16", layout="mono", rate=sample_rate)
        self._silence = AudioData(bytes(int(sample_rate * FRAME_SECONDS) * 2), sample_rate)

    def hear(self, frame: AudioFrame | None) -> None:
        if frame is None:
            self._callback(self._silence)
            return
        for converted in self._resampler.resample(frame):
            self._callback(AudioData(bytes(converted.planes[0])[: converted.samples * 2], self._rate))


class SilentCaller:
    """A caller without a page, who sends silence."""

    def __init__(self, hear: Hear) -> None:
        self._task = asyncio.get_running_loop().create_task(self._be_silent(hear))

    async def _be_silent(self, hear: Hear) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            due = max(due + FRAME_SECONDS, clock() - _CATCH_UP_SECONDS)
            await asyncio.sleep(due - clock())
            hear(None)

    def send(self, message: Any) -> None:
        """There is nobody to read it."""

    async def close(self) -> None:
        self._task.cancel()


class Peer:
    """The connection to the page of one caller."""

    def __init__(self, voice: Voice, hear: Hear, receive: Callable[[Any], None], connected: Callable[[], None]) -> None:
        self._voice = voice
        self._hear = hear
        self._receive = receive
        self._connected = connected
        self._track = voice.listener()
        self._channel: Any = None
        self._unsent: deque[str] = deque(maxlen=_UNSENT_MESSAGES)
        self._listening: list[asyncio.Task[None]] = []
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._pc.on("track", self._hears)
        self._pc.on("datachannel", self._has_channel)
        self._pc.on("connectionstatechange", self._state_changed)

    async def answer(self, sdp: str) -> str:
        """Return the answer to an offer. Raises various exceptions for an invalid one."""
        await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        self._pc.addTrack(self._track)
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        return str(self._pc.localDescription.sdp)

    def send(self, message: Any) -> None:
        text = json.dumps(message)
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(text)
        else:
            self._unsent.append(text)

    async def close(self) -> None:
        self._voice.forget(self._track)
        for task in self._listening:
            task.cancel()
        with contextlib.suppress(ConnectionError):
            await self._pc.close()

    def _state_changed(self) -> None:
        if self._pc.connectionState == "connected":
            self._track.skip()
            self._connected()

    def _hears(self, track: Any) -> None:
        if track.kind == "audio":
            self._listening.append(asyncio.get_running_loop().create_task(self._listen(track)))

    async def _listen(self, track: Any) -> None:
        with contextlib.suppress(MediaStreamError):  # raised at the end of the stream
            while True:
                self._hear(await track.recv())

    def _has_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.on("message", self._received)
        channel.on("open", self._flush)
        if channel.readyState == "open":
            self._flush()

    def _flush(self) -> None:
        while self._unsent:
            self._channel.send(self._unsent.popleft())

    def _received(self, text: Any) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            logger.warning("a caller's message is not JSON")
            return
        self._receive(message)
