# mypy: ignore-errors
"""Somebody's Pipecat bot, written for Daily: it does what the body of its session says and reports what it saw."""

import asyncio

from pipecat.frames.frames import EndFrame, InputAudioRawFrame, TTSAudioRawFrame, TTSStartedFrame, TTSStoppedFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.runner.types import RunnerArguments
from pipecat.runner.utils import create_transport
from pipecat.transports.daily.transport import DailyOutputTransportMessageFrame, DailyParams
from pipecat.workers.runner import WorkerRunner

from pools.agent import report

EVENTS = [
    *("on_joined", "on_first_participant_joined", "on_participant_joined", "on_client_connected"),
    *("on_participant_left", "on_client_disconnected", "on_app_message", "on_left", "on_error"),
    *("on_dialout_connected", "on_dialout_answered", "on_dialout_stopped"),
    *("on_recording_started", "on_recording_stopped"),
]
WORD = TTSAudioRawFrame(audio=bytes(9600), sample_rate=24000, num_channels=1)


class Ear(FrameProcessor):
    """Counts the audio that comes in."""

    heard = 0

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.heard += 1
        await self.push_frame(frame, direction)


async def bot(runner_args: RunnerArguments):
    wishes = runner_args.body
    if wishes.get("returns"):  # as some do that miss a part of the body
        return
    params = DailyParams(audio_in_enabled=True, audio_out_enabled=True, **wishes.get("params", {}))
    transport = await create_transport(runner_args, {"daily": lambda: params, "webrtc": lambda: params})
    ear, seen, said = Ear(), [], {"arguments": type(runner_args).__name__, "transport": type(transport).__name__}
    worker = PipelineWorker(Pipeline([transport.input(), ear, transport.output()]))

    def follow(name):
        @transport.event_handler(name)
        async def happened(_transport, *arguments):
            seen.append(name)
            if name == "on_app_message":
                said["message"] = arguments[0]

    for name in EVENTS:
        follow(name)

    @transport.event_handler("on_first_participant_joined")
    async def come(_transport, participant):
        said["callers"] = [one["info"]["userName"] for one in transport.participants().values()]
        said["counts"] = transport.participant_counts()["present"]
        await transport.capture_participant_transcription(participant["id"])
        for wish in wishes.get("do", []):
            try:
                said[wish] = await WISHES[wish](transport, participant)
            except Exception as error:
                said[wish] = str(error)
        await worker.queue_frame(DailyOutputTransportMessageFrame({"hello": participant["id"]}))
        if "error" in wishes:
            await ear.push_error(wishes["error"])
            await worker.queue_frame(EndFrame())
            return
        while not ear.heard and "on_client_disconnected" not in seen:  # silence too is heard
            await asyncio.sleep(0.01)
        await worker.queue_frames([TTSStartedFrame(), WORD, TTSStoppedFrame()])

    @transport.event_handler(wishes.get("ends_on", "on_client_disconnected"))
    async def end(*_):
        await asyncio.sleep(0)
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()
    report(events=seen, heard=ear.heard > 0, **said)


async def dial(transport, _participant):
    session, error = await transport.start_dialout({"phoneNumber": "+919876543210"})
    return error or bool(session)


async def record(transport, _participant):
    stream, error = await transport.start_recording()
    return error or await transport.stop_recording(stream) or bool(stream)


async def look(transport, participant):
    await transport.capture_participant_video(participant["id"])


async def press(transport, _participant):
    return await transport.send_dtmf({"sessionId": "a-session", "tones": "1"})


async def eject(transport, participant):
    transport._client._client.eject_remote_participants([participant["id"]])


WISHES = {"dial": dial, "record": record, "look": look, "press": press, "eject": eject}
