"""Somebody's Pipecat bot: it has never heard of us, and its transport is its own.

The transport "joins" 50 ms after the pipeline has started; a caller comes, hears a word and goes. Where the body has an
"error", the first try to join fails with it, and there is no other unless the body says "again".
"""

import asyncio

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import EndFrame, StartFrame, TTSAudioRawFrame, TTSStartedFrame, TTSStoppedFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.runner.types import DailyRunnerArguments
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import BaseTransport, TransportParams
from pipecat.transports.websocket.fastapi import FastAPIWebsocketTransport  # noqa: F401  as most published bots do
from pipecat.workers.runner import WorkerRunner


class Microphone(BaseInputTransport):
    def __init__(self, transport, params):
        super().__init__(params)
        self._owner = transport

    async def start(self, frame: StartFrame):
        await super().start(frame)
        await self.set_transport_ready(frame)
        self.create_task(self._owner.call())


class Speaker(BaseOutputTransport):
    async def start(self, frame: StartFrame):
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame):
        return True


class OwnTransport(BaseTransport):
    def __init__(self, params, body):
        super().__init__()
        self._body = body
        self._microphone, self._speaker = Microphone(self, params), Speaker(params)
        for event in ("on_error", "on_joined", "on_client_connected", "on_client_disconnected"):
            self._register_event_handler(event)

    def input(self):
        return self._microphone

    def output(self):
        return self._speaker

    async def call(self):
        await asyncio.sleep(0.05)
        caller = {"id": "the-caller"}
        if "error" in self._body:
            await self._call_event_handler("on_error", self._body["error"])
            if not self._body.get("again"):
                return
        await self._call_event_handler("on_joined", {})
        await self._call_event_handler("on_client_connected", caller)
        await self._microphone.push_frame(TTSStartedFrame())
        await self._microphone.push_frame(TTSAudioRawFrame(audio=bytes(9600), sample_rate=24000, num_channels=1))
        await self._microphone.push_frame(TTSStoppedFrame())
        await asyncio.sleep(0.05)
        await self._call_event_handler("on_client_disconnected", caller)


async def bot(runner_args: DailyRunnerArguments):
    if type(runner_args) is not DailyRunnerArguments:
        raise TypeError(type(runner_args))
    SileroVADAnalyzer(sample_rate=16000)
    params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
    transport = OwnTransport(params, runner_args.body or {})
    worker = PipelineWorker(Pipeline([transport.input(), transport.output()]))

    @transport.event_handler("on_client_disconnected")
    async def caller_left(transport, client):
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner(handle_sigint=runner_args.handle_sigint)
    await runner.add_workers(worker)
    await runner.run()
