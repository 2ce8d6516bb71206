"""The default bot: a Pipecat pipeline of whatever providers there are keys for.

    caller -> voice activity, smart turn -> Deepgram -> OpenAI -> Cartesia -> caller

A part without a key (DEEPGRAM_API_KEY, OPENAI_API_KEY, CARTESIA_API_KEY) is left out, and the log says so; with no
key at all the pipeline still runs and holds the room. It ends when the caller leaves, or after the idle time that it
was given.
"""

import os
from typing import Any

from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import LLMRunFrame, TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.runner.types import DailyRunnerArguments
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.base_transport import BaseTransport, TransportParams
from pipecat.transports.daily.transport import DailyParams, DailyTransport
from pipecat.workers.runner import WorkerRunner

from pools.agent import report
from pools.agent.bots.script import Script
from pools.agent.bots.silent_transport import SilentTransport
from pools.agent.sandbox_room import current_room

BOT_NAME = "Breeze Buddy"
DEFAULT_VOICE = (
    "71a7ad14-091c-4e8e-a314-022ece01c121"  # Cartesia's "British Reading Lady", the voice of Pipecat's examples
)


async def bot(runner_args: DailyRunnerArguments) -> None:
    script = Script.from_body(runner_args.body)
    transport = _transport(runner_args)
    stt, llm, tts = _speech_to_text(script), _language_model(script), _text_to_speech(script)
    context = LLMContext()
    aggregators = LLMContextAggregatorPair(
        context, user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    parts = [transport.input(), stt, aggregators.user(), llm, tts, transport.output(), aggregators.assistant()]
    worker = PipelineWorker(
        Pipeline([part for part in parts if part is not None]),
        idle_timeout_secs=runner_args.pipeline_idle_timeout_secs,
        conversation_id=runner_args.session_id,
    )
    runner = WorkerRunner(handle_sigint=runner_args.handle_sigint)
    _record(aggregators)

    @transport.event_handler("on_first_participant_joined")
    async def greet(_transport: BaseTransport, _participant: Any) -> None:
        if tts is not None:
            await worker.queue_frame(TTSSpeakFrame(script.first_message))
        elif llm is not None:
            await worker.queue_frame(LLMRunFrame())

    @transport.event_handler("on_participant_left")
    async def hang_up(_transport: BaseTransport, _participant: Any, _reason: str) -> None:
        await runner.cancel(reason="the caller left")

    await runner.add_workers(worker)
    await runner.run()
    report(outcome="completed")


def _transport(runner_args: DailyRunnerArguments) -> BaseTransport:
    if room := current_room():
        return SilentTransport(room, TransportParams(audio_in_enabled=True, audio_out_enabled=True))
    return DailyTransport(
        runner_args.room_url,
        runner_args.token,
        BOT_NAME,
        DailyParams(audio_in_enabled=True, audio_out_enabled=True),
    )


def _speech_to_text(script: Script) -> FrameProcessor | None:
    if not (key := _key("DEEPGRAM_API_KEY", "speech to text")):
        return None
    settings = DeepgramSTTService.Settings(language=script.language) if script.language else None
    return DeepgramSTTService(api_key=key, settings=settings)


def _language_model(script: Script) -> FrameProcessor | None:
    if not (key := _key("OPENAI_API_KEY", "a language model")):
        return None
    settings = OpenAILLMService.Settings(system_instruction=script.prompt)
    if script.model:
        settings.model = script.model
    return OpenAILLMService(api_key=key, settings=settings)


def _text_to_speech(script: Script) -> FrameProcessor | None:
    if not (key := _key("CARTESIA_API_KEY", "a voice")):
        return None
    voice = script.voice or os.environ.get("CARTESIA_VOICE_ID", "") or DEFAULT_VOICE
    return CartesiaTTSService(api_key=key, settings=CartesiaTTSService.Settings(voice=voice))


def _key(name: str, what: str) -> str:
    key = os.environ.get(name, "")
    if not key:
        logger.info(f"{name} is not set: this call goes without {what}")
    return key


def _record(aggregators: LLMContextAggregatorPair) -> None:
    """Report the conversation after every turn, so that a call that ends badly leaves what was said."""
    transcript: list[dict[str, Any]] = []

    def add(role: str, message: Any) -> None:
        if message.content:
            transcript.append({"role": role, "content": message.content, "timestamp": message.timestamp})
            report(transcript=transcript)

    @aggregators.user().event_handler("on_user_turn_stopped")
    async def user_spoke(_aggregator: Any, _strategy: Any, message: Any) -> None:
        add("user", message)

    @aggregators.assistant().event_handler("on_assistant_turn_stopped")
    async def assistant_spoke(_aggregator: Any, message: Any) -> None:
        add("assistant", message)
