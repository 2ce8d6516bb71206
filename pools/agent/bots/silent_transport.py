"""A Pipecat transport without sound, for rooms of the sandbox.

Silence comes in at real pace, what goes out is discarded as slowly as it would be played. So a whole pipeline runs
at the cost of a real call where there is nobody to hear it. Its events have the names of the Daily transport's.
"""

import asyncio
from typing import Any

from pipecat.frames.frames import CancelFrame, EndFrame, InputAudioRawFrame, OutputAudioRawFrame, StartFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import BaseTransport, TransportParams

from pools.agent.sandbox_room import SandboxRoom

_FRAME_SECONDS = 0.02
_BYTES_PER_SAMPLE = 2


class SilentTransport(BaseTransport):
    """Presence of the process's sandbox room as transport events.

    Events: on_joined, on_first_participant_joined, on_participant_joined, on_client_connected, on_participant_left,
    on_client_disconnected.
    """

    def __init__(self, room: SandboxRoom, params: TransportParams) -> None:
        super().__init__()
        self._room = room
        self._input = SilentInput(self, params)
        self._output = SilentOutput(params)
        self._seen_anybody = False
        self._announcing: set[asyncio.Task[None]] = set()
        for event in (
            "on_joined",
            "on_first_participant_joined",
            "on_participant_joined",
            "on_client_connected",
            "on_participant_left",
            "on_client_disconnected",
        ):
            self._register_event_handler(event)

    def input(self) -> FrameProcessor:
        return self._input

    def output(self) -> FrameProcessor:
        return self._output

    async def open(self) -> None:
        """The pipeline runs: announce who is here, and from now on who comes and goes."""
        await self._call_event_handler("on_joined", {"participants": {"local": {"id": self._room.participant_id}}})
        self._room.subscribe(self._room_changed)

    def _room_changed(self, event: str, participant: dict[str, Any]) -> None:
        task = asyncio.get_running_loop().create_task(self._announce(event, participant))
        self._announcing.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._announcing.discard)

    async def _announce(self, event: str, participant: dict[str, Any]) -> None:
        if event == "left":
            await self._call_event_handler("on_participant_left", participant, "leftCall")
            await self._call_event_handler("on_client_disconnected", participant)
            return
        if not self._seen_anybody:
            self._seen_anybody = True
            await self._call_event_handler("on_first_participant_joined", participant)
        await self._call_event_handler("on_participant_joined", participant)
        await self._call_event_handler("on_client_connected", participant)


class SilentInput(BaseInputTransport):
    """A microphone in an empty room."""

    def __init__(self, transport: SilentTransport, params: TransportParams) -> None:
        super().__init__(params)
        self._transport = transport
        self._source: asyncio.Task[None] | None = None

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self._source = self.create_task(self._play_silence())
        await self._transport.open()

    async def stop(self, frame: EndFrame) -> None:
        await self._stop_source()
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        await self._stop_source()
        await super().cancel(frame)

    async def cleanup(self) -> None:
        await self._stop_source()  # a pipeline that failed to start is neither stopped nor cancelled
        await super().cleanup()

    async def _stop_source(self) -> None:
        if self._source is not None:
            await self.cancel_task(self._source)
            self._source = None

    async def _play_silence(self) -> None:
        channels = self._params.audio_in_channels
        silence = bytes(int(self.sample_rate * _FRAME_SECONDS) * channels * _BYTES_PER_SAMPLE)
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            await self.push_audio_frame(
                InputAudioRawFrame(audio=silence, sample_rate=self.sample_rate, num_channels=channels)
            )
            due = max(due + _FRAME_SECONDS, clock() - 1)  # after a long pause, do not make up for all of it
            await asyncio.sleep(due - clock())


class SilentOutput(BaseOutputTransport):
    """A loudspeaker that is unplugged: playing takes as long as the sound lasts."""

    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self._played_until = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        now = asyncio.get_running_loop().time()
        samples = len(frame.audio) / (_BYTES_PER_SAMPLE * frame.num_channels)
        self._played_until = max(self._played_until, now) + samples / frame.sample_rate
        await asyncio.sleep(self._played_until - now)
        return True
