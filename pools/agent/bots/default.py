"""The default bot: a Pipecat pipeline in a Daily room, with the providers for which there are keys.

    caller -> voice activity, smart turn -> speech to text -> language model -> voice -> caller

With keys for speech to text and a language model it holds the template's conversation. Without them it is the offline
bot: it greets, hears that it is spoken to, says for how long, and says goodbye (`offline`). Its voice is a provider's
or else espeak-ng's. In stream mode there is no language model: the client's `tts-speak` messages are spoken.

It ends when the caller leaves, when it has said goodbye, or after the idle time that it was given.
"""

import asyncio
from typing import Any

from loguru import logger
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import LLMUpdateSettingsFrame, TTSSpeakFrame, TTSUpdateSettingsFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.runner.types import DailyRunnerArguments
from pipecat.services.settings import LLMSettings, TTSSettings
from pipecat.transports.base_transport import BaseTransport
from pipecat.transports.daily.transport import DailyParams, DailyTransport
from pipecat.turns.user_stop import TurnAnalyzerUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from pools.agent import claimed_body, report
from pools.agent.bots import ending, espeak, offline, providers
from pools.agent.bots.espeak import EspeakTTSService
from pools.agent.bots.script import Script
from pools.agent.bots.transcript import Transcript

BOT_NAME = "Breeze Buddy"
SILENCE_S = 30.0  # after so long without a word, the offline bot asks whether anybody is there
SPEAK = "tts-speak"
PREJOIN = True  # it can join before its session is claimed


async def warm_up() -> None:
    """Called in an idle process, before anybody calls and then once a minute."""
    providers.make_ahead()
    if not providers.is_chosen("VOICE_AGENT_TTS"):
        await asyncio.to_thread(espeak.library)
    await providers.connect()


async def bot(runner_args: DailyRunnerArguments) -> None:
    claim = asyncio.ensure_future(claimed_body(runner_args))
    await asyncio.sleep(0)  # lets the claim finish if the body is there already
    script, transcript = Script.from_body(claim.result() if claim.done() else None), Transcript()
    transport = _transport(runner_args)
    stt, llm = providers.speech_to_text(script), None if script.stream else providers.language_model(script)
    listener = None
    if not script.stream and (stt is None or llm is None):
        logger.info("no keys for speech to text and a language model: this is the offline bot, it recognises no words")
        stt, llm, listener = None, None, offline.Listener(transcript.heard)
    tts = providers.voice(script) or EspeakTTSService(script.language)
    context = LLMContext(tools=ending.tools(script)) if llm else LLMContext()
    aggregators = LLMContextAggregatorPair(context, user_params=_turns(words=stt is not None, listener=listener))
    if llm is not None:
        llm.register_function(ending.END_CALL, ending.end_call)
    parts = [transport.input(), stt, aggregators.user(), llm or listener, tts, transport.output()]
    worker = PipelineWorker(
        Pipeline([part for part in (*parts, aggregators.assistant()) if part is not None]),
        idle_timeout_secs=runner_args.pipeline_idle_timeout_secs,
        conversation_id=runner_args.session_id,
    )
    runner = WorkerRunner(handle_sigint=runner_args.handle_sigint)
    if llm is not None:
        transcript.follow(aggregators)
    else:
        transcript.follow_caller(aggregators)
        transcript.follow_voice(tts)

    async def greeting() -> str:
        """Return the first words. They are prepared at the claim, while the caller connects."""
        late = not claim.done()
        said = Script.from_body(await claim)
        if late:
            await _take_over(said, worker, context, talks=llm is not None)
        text = _first_words(said, listener)
        if isinstance(tts, EspeakTTSService) and text:
            tts.prepare(text, said.language)
        return text

    _answer_events(transport, worker, runner, asyncio.ensure_future(greeting()), phone=script.phone)
    if listener is not None:
        _mind_silence(aggregators, listener)
    if script.stream:
        _speak_for_the_client(worker)
    await runner.add_workers(worker)
    await runner.run()


async def _take_over(script: Script, worker: PipelineWorker, context: LLMContext, *, talks: bool) -> None:
    """Give the claimed session's script to the services of a pipeline that is already running."""
    if talks:
        context.set_tools(ending.tools(script))
        llm = LLMSettings(system_instruction=script.prompt, **providers.given(model=script.llm.model))
        await worker.queue_frame(LLMUpdateSettingsFrame(delta=llm))
    if script.tts.voice:
        await worker.queue_frame(TTSUpdateSettingsFrame(delta=TTSSettings(voice=script.tts.voice)))


def _transport(runner_args: DailyRunnerArguments) -> DailyTransport:
    params = DailyParams(audio_in_enabled=True, audio_out_enabled=True)
    return DailyTransport(runner_args.room_url, runner_args.token, BOT_NAME, params)


def _first_words(script: Script, listener: FrameProcessor | None) -> str:
    if script.stream:
        return ""
    return f"{script.first_message} {offline.EXPLANATION}" if listener else script.first_message


def _turns(*, words: bool, listener: FrameProcessor | None) -> LLMUserAggregatorParams:
    """Return how the caller's turns are detected. Without `words` there is no transcript to wait for."""
    ends = TurnAnalyzerUserTurnStopStrategy(turn_analyzer=LocalSmartTurnAnalyzerV3(), wait_for_transcript=words)
    params = LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=UserTurnStrategies(stop=[ends])
    )
    if listener is not None:
        params.user_idle_timeout = SILENCE_S
    if not words:
        params.empty_user_turn = None
    return params


def _answer_events(
    transport: BaseTransport, worker: PipelineWorker, runner: WorkerRunner, greeting: asyncio.Task[str], *, phone: bool
) -> None:
    greeted = False

    # A phone is in the room while it rings.
    @transport.event_handler("on_dialout_answered" if phone else "on_client_connected")
    async def greet(_transport: BaseTransport, _client: Any) -> None:
        nonlocal greeted
        if not greeted:  # a caller who comes back has been greeted
            greeted = True
            report(outcome="completed")  # unless the model chooses another outcome
            if first_words := await greeting:
                await worker.queue_frame(TTSSpeakFrame(first_words))

    @transport.event_handler("on_client_disconnected")
    async def hang_up(_transport: BaseTransport, _client: Any) -> None:
        await runner.cancel(reason="the caller left")


def _mind_silence(aggregators: LLMContextAggregatorPair, listener: offline.Listener) -> None:
    @aggregators.user().event_handler("on_user_turn_idle")
    async def nobody_speaks(_aggregator: Any) -> None:
        await listener.caller_is_silent()


def _speak_for_the_client(worker: PipelineWorker) -> None:
    """Speak the texts of RTVI client messages of type `tts-speak`, `{"text": ...}`."""

    @worker.rtvi.event_handler("on_client_message")
    async def speak(_rtvi: Any, message: Any) -> None:
        text = message.data.get("text") if message.type == SPEAK and isinstance(message.data, dict) else None
        if isinstance(text, str) and text.strip():
            await worker.queue_frame(TTSSpeakFrame(text.strip()))
