# mypy: ignore-errors
"""Somebody's Pipecat bot, as most published ones are: Deepgram hears, OpenAI answers, and the body chooses the voice.

Its providers' keys and addresses come from the environment.
"""

import os

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.runner.types import RunnerArguments
from pipecat.runner.utils import create_transport
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.deepgram.tts import DeepgramTTSService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.daily.transport import DailyParams
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams
from pipecat.workers.runner import WorkerRunner

transport_params = {
    "daily": lambda: DailyParams(audio_in_enabled=True, audio_out_enabled=True),
    "twilio": lambda: FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True),
}


def voice(name):
    url = os.environ["VOICES_URL"]
    if name == "deepgram":
        return DeepgramTTSService(api_key=os.environ["DEEPGRAM_API_KEY"], base_url=url)
    if name == "elevenlabs":
        settings = ElevenLabsTTSService.Settings(voice="a-voice")
        return ElevenLabsTTSService(api_key=os.environ["ELEVENLABS_API_KEY"], url=url, settings=settings)
    settings = CartesiaTTSService.Settings(voice="a-voice")
    return CartesiaTTSService(api_key=os.environ["CARTESIA_API_KEY"], url=f"{url}/tts/websocket", settings=settings)


async def bot(runner_args: RunnerArguments):
    transport = await create_transport(runner_args, transport_params)
    context = LLMContext()
    user, assistant = LLMContextAggregatorPair(
        context, user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    parts = [
        transport.input(),
        DeepgramSTTService(api_key=os.environ["DEEPGRAM_API_KEY"], base_url=os.environ["VOICES_URL"]),
        user,
        OpenAILLMService(api_key=os.environ["OPENAI_API_KEY"]),
        voice(runner_args.body["voice"]),
        transport.output(),
        assistant,
    ]
    worker = PipelineWorker(Pipeline(parts), params=PipelineParams(enable_metrics=True))
    runner = WorkerRunner(handle_sigint=runner_args.handle_sigint)
    await runner.add_workers(worker)

    @transport.event_handler("on_client_connected")
    async def on_client_connected(transport, client):
        context.add_message({"role": "developer", "content": "Please introduce yourself."})
        await worker.queue_frames([LLMRunFrame()])

    @transport.event_handler("on_client_disconnected")
    async def on_client_disconnected(transport, client):
        await runner.cancel()

    await runner.run()
