"""The peer connection of a local call: Pipecat's own, made before there is a caller, and not ended by a page's reload.

Imported by the warm-up of a process whose bot uses Pipecat.
"""

import asyncio
import contextlib
import fractions
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack
from av import AudioFrame
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection

_RATE = 48_000
_FRAME_SECONDS = 0.02
_HEAR_OUT_SECONDS = 1.0


class RoomConnection(SmallWebRTCConnection):
    """A `SmallWebRTCConnection` whose caller comes, comes back and goes when the room says so."""

    def __init__(self) -> None:
        super().__init__()
        self._offers = 0
        self._over = False
        self._mute_caller: _MuteCaller | None = None
        self._voice: Any = None  # the bot's track
        self._mouth: _Mouth | None = None
        self._ear = _Ear()

    async def answer(self, sdp: str) -> dict[str, Any]:
        """Connect to who sent this offer; the second and later ones are a page that has come back."""
        if self._offers:
            self._hear_out()
            await self.renegotiate(sdp, "offer", restart_pc=True)
        else:
            await self.initialize(sdp, "offer")
        self._mouth = _Mouth()
        super().replace_audio_track(self._mouth)
        self._offers += 1
        return {"type": "answer", "sdp": self.get_answer()["sdp"]}

    async def meet_mute_caller(self) -> None:
        """Somebody without a page is there: the bot hears silence, and what it says is taken at the pace of speech."""
        self._mute_caller = _MuteCaller()
        if self._connect_invoked:
            await self._call_event_handler("connected")

    async def caller_has_left(self) -> None:
        if not self._over:
            self._over = True
            self._hear_out()
            await self._call_event_handler("closed")

    def _hear_out(self) -> None:
        """The bot waits until what it is just saying has been sent; with nobody to send it to it would wait too long,
        and take its transport for broken."""
        self._ear.listen_to(self._voice, _HEAR_OUT_SECONDS)

    # --- SmallWebRTCConnection -----------------------------------------------------------------------------

    async def disconnect(self) -> None:
        """The bot has ended the call."""
        self._over = True
        self._hear_out()
        await super().disconnect()

    async def _handle_new_connection_state(self) -> None:
        if self._pc.connectionState in ("closed", "failed") and not self._over:
            self._cancel_monitoring_connecting_state()
            self._hear_out()
            return  # the page may come back; whether it does is the room's to say
        await super()._handle_new_connection_state()

    def is_connected(self) -> bool:
        if self._mute_caller is not None:
            return bool(self._connect_invoked) and not self._over
        return bool(super().is_connected())

    def audio_input_track(self) -> Any:
        return self._mute_caller or super().audio_input_track()

    def replace_audio_track(self, track: Any) -> None:
        self._voice = track
        if self._mute_caller is not None:
            self._ear.listen_to(track)
        elif self._mouth is not None:
            self._mouth.speak_with(track)


class _Mouth(MediaStreamTrack):
    """What the caller's connection carries: the bot's track, as soon as there is one. Without any track the sender of a
    connection looks for one every 20 ms only."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._voice: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def speak_with(self, track: Any) -> None:
        if self._voice.done():
            self._voice = asyncio.get_running_loop().create_future()
        self._voice.set_result(track)

    async def recv(self) -> Any:
        return await (await asyncio.shield(self._voice)).recv()


class _Ear:
    """Takes what a track has to say at the pace of speech, and forgets it."""

    def __init__(self) -> None:
        self._listening: asyncio.Task[None] | None = None

    def listen_to(self, track: Any, seconds: float | None = None) -> None:
        """Until the next track, or for so long."""
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
        if track is not None:
            self._listening = asyncio.get_running_loop().create_task(self._listen(track, seconds))

    async def _listen(self, track: Any, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await track.recv()  # which waits for as long as what it returns lasts


class _MuteCaller:
    """The track of a caller who says nothing."""

    def __init__(self) -> None:
        self._due = 0.0
        self._position = 0

    def is_enabled(self) -> bool:
        return True

    async def recv(self) -> AudioFrame:
        clock = asyncio.get_running_loop().time
        self._due = max(self._due + _FRAME_SECONDS, clock() - 1)  # after a long pause, do not make up for all of it
        await asyncio.sleep(self._due - clock())
        samples = int(_RATE * _FRAME_SECONDS)
        frame = AudioFrame.from_ndarray(np.zeros((1, samples), dtype=np.int16), layout="mono")
        frame.sample_rate, frame.pts = _RATE, self._position
        frame.time_base = fractions.Fraction(1, _RATE)
        self._position += samples
        return frame

    def stop(self) -> None:
        """There is nothing to stop."""
