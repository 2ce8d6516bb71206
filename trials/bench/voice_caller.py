"""A caller with a voice in a room of the sandbox: joins like the room's page, with aiortc instead of a browser.

It notes when each step of its connection was done and when it first really heard something: not a flag of the bot's,
but energy in the audio that has arrived.
"""

import asyncio
import contextlib
import fractions
import json
import time
import uuid
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame

RATE = 48_000
FRAME_SECONDS = 0.02
LOUD = 300  # of 32768: the root of the mean square of a frame in which somebody speaks
STEP_SECONDS = 20.0


class CallRefused(Exception):
    """The sandbox refused the join, or the bot did not answer. The first argument is the type."""


class Microphone(MediaStreamTrack):
    """An audio track: silence, and the samples that it is given, in real time."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._began: float | None = None
        self._position = 0
        self._speech = np.zeros(0, dtype=np.int16)

    def say(self, samples: np.ndarray) -> None:
        """Queue 16-bit samples at RATE."""
        self._speech = np.concatenate([self._speech, samples.astype(np.int16)])

    @property
    def is_speaking(self) -> bool:
        return len(self._speech) > 0

    async def recv(self) -> AudioFrame:
        samples = int(RATE * FRAME_SECONDS)
        if self._began is None:
            self._began = time.monotonic()
        await asyncio.sleep(max(0.0, self._began + self._position / RATE - time.monotonic()))
        now, self._speech = self._speech[:samples], self._speech[samples:]
        frame = AudioFrame.from_ndarray(np.pad(now, (0, samples - len(now)))[None, :], layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._position, fractions.Fraction(1, RATE)
        self._position += samples
        return frame


class VoiceCaller:
    """One call. `times` has the `time.monotonic()` of each step: joined, offered, answered, connected, heard."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self.messages: list[dict[str, Any]] = []  # what the bot has sent over the data channel
        self.answer_took = 0.0  # of the time between offered and answered: what the bot needed for its answer
        self.loud_frames = 0
        self.last_loud = 0.0
        self.id = ""
        self.over = asyncio.Event()  # the bot has gone, or the room
        self._microphone = Microphone()
        self._answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._connected = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._offering: asyncio.Task[None] | None = None
        self._peer = RTCPeerConnection()
        self._channel = self._peer.createDataChannel("rtvi")
        self._peer.addTrack(self._microphone)
        self._peer.on("connectionstatechange", self._state_changed)
        self._peer.on("track", lambda track: self._start(self._listen(track)))
        self._channel.on("message", lambda text: self.messages.append(json.loads(text)))

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    def prepare(self) -> None:
        """Start to make the offer, which needs no room."""
        self._offering = self._offering or asyncio.ensure_future(self._make_offer())

    async def join(self, room_url: str, token: str | None, resume: str | None = None) -> None:
        """Enter the room and connect to its bot. Raises CallRefused and TimeoutError."""
        self.prepare()
        async with asyncio.timeout(STEP_SECONDS):
            await self._enter(room_url, token, resume)
            if self._offering is not None:
                await self._offering
            await self._socket.send_json({"data": {"type": "offer", "sdp": self._peer.localDescription.sdp}})
            self._note("offered")
            answer = await self._answer
            self._note("answered")
            if answer.get("type") != "answer":
                raise CallRefused("refused", answer.get("reason"))
            self.answer_took = answer["took_ms"] / 1000
            await self._peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
            await self._connected.wait()

    def say(self, samples: np.ndarray) -> None:
        self._microphone.say(samples)

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message to the bot over the data channel."""
        await self.until(lambda: self._channel.readyState == "open")
        self._channel.send(json.dumps({"label": "rtvi-ai", "id": str(uuid.uuid4()), **message}))

    async def until(self, condition: Callable[[], bool], seconds: float = STEP_SECONDS) -> None:
        """Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def until_heard(self) -> None:
        await self.until(lambda: "heard" in self.times)

    async def until_silence(self, seconds: float = 0.8) -> None:
        """Wait until the bot has finished speaking."""
        await self.until(lambda: self.loud_frames > 0 and time.monotonic() - self.last_loud > seconds)

    async def until_said(self) -> None:
        await self.until(lambda: not self._microphone.is_speaking)

    async def until_told(self, kind: str, times: int = 1) -> None:
        """Wait until the bot has sent this many RTVI messages of a type."""
        await self.until(lambda: sum(message.get("type") == kind for message in self.messages) >= times)

    async def leave(self, *, in_order: bool = True) -> None:
        """Hang up. Not `in_order`: like a page that is reloaded or lost."""
        for task in self._tasks:
            task.cancel()
        if hasattr(self, "_socket"):
            await self._socket.close(code=1000 if in_order else 1001)
        with contextlib.suppress(ConnectionError):
            await self._peer.close()
        await self._http.close()

    # --- inside ------------------------------------------------------------------------------------------

    async def _enter(self, room_url: str, token: str | None, resume: str | None) -> None:
        parts = urlsplit(room_url)
        address = f"ws://{parts.netloc}/sandbox/rooms/{parts.path.strip('/')}/join"
        self._socket = await self._http.ws_connect(address)
        await self._socket.send_json({"token": token, "media": True, "reconnects": True, "resume": resume})
        event = await self._socket.receive_json()
        if event["event"] != "joined":
            raise CallRefused(event.get("type"), event.get("message"))
        self.id = event["id"]
        self._note("joined")
        self._start(self._follow())

    async def _make_offer(self) -> None:
        await self._peer.setLocalDescription(await self._peer.createOffer())

    async def _follow(self) -> None:
        async for message in self._socket:
            event = json.loads(message.data)
            if event["event"] == "message" and not self._answer.done():
                self._answer.set_result(event["data"])
            elif event["event"] == "ejected" or (
                event["event"] == "participant-left" and event["participant"]["owner"]
            ):
                self.over.set()
        self.over.set()

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            frame: Any = await track.recv()
            samples = frame.to_ndarray().astype(np.float64)
            if np.sqrt(np.mean(samples**2)) > LOUD:
                self.loud_frames += 1
                self.last_loud = time.monotonic()
                self._note("heard")

    def _state_changed(self) -> None:
        if self._peer.connectionState == "connected":
            self._note("connected")
            self._connected.set()

    def _note(self, step: str) -> None:
        self.times.setdefault(step, time.monotonic())

    def _start(self, work: Any) -> None:
        self._tasks.append(asyncio.ensure_future(work))
