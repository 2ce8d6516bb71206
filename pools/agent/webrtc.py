"""The peer connection of a local call: Pipecat's own, made before there is a caller, and not ended by a page's reload.

Imported by the warm-up of a process whose bot uses Pipecat.
"""

import asyncio
import fractions
from typing import Any

import numpy as np
from av import AudioFrame
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection

_RATE = 48_000
_FRAME_SECONDS = 0.02


class RoomConnection(SmallWebRTCConnection):
    """A `SmallWebRTCConnection` whose caller comes, comes back and goes when the room says so."""

    def __init__(self) -> None:
        super().__init__()
        self._offers = 0
        self._over = False
        self._mute_caller: _MuteCaller | None = None

    async def answer(self, sdp: str) -> dict[str, Any]:
        """Connect to who sent this offer; the second and later ones are a page that has come back."""
        if self._offers:
            await self.renegotiate(sdp, "offer", restart_pc=True)
        else:
            await self.initialize(sdp, "offer")
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
            if self._mute_caller is not None:
                self._mute_caller.hang_up()
            await self._call_event_handler("closed")

    # --- SmallWebRTCConnection -----------------------------------------------------------------------------

    async def disconnect(self) -> None:
        """The bot has ended the call."""
        self._over = True
        if self._mute_caller is not None:
            self._mute_caller.hang_up()
        await super().disconnect()

    async def _handle_new_connection_state(self) -> None:
        if self._pc.connectionState in ("closed", "failed") and not self._over:
            self._cancel_monitoring_connecting_state()
            return  # the page may come back; whether it does is the room's to say
        await super()._handle_new_connection_state()

    def is_connected(self) -> bool:
        if self._mute_caller is not None:
            return bool(self._connect_invoked) and not self._over
        return bool(super().is_connected())

    def audio_input_track(self) -> Any:
        return self._mute_caller or super().audio_input_track()

    def replace_audio_track(self, track: Any) -> None:
        if self._mute_caller is not None:
            self._mute_caller.listen_to(track)
        else:
            super().replace_audio_track(track)


class _MuteCaller:
    """A caller's track that carries silence, and the ear that the bot's track is played to."""

    def __init__(self) -> None:
        self._due = 0.0
        self._position = 0
        self._listening: asyncio.Task[None] | None = None

    def is_enabled(self) -> bool:
        return True

    def listen_to(self, track: Any) -> None:
        self.hang_up()
        self._listening = asyncio.get_running_loop().create_task(self._listen(track))

    def hang_up(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def _listen(self, track: Any) -> None:
        while True:
            await track.recv()  # which waits for as long as what it returns lasts

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
        self.hang_up()
