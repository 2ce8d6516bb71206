"""A pipeline built, started and ended in the zygote, as a bot's will be; see `rehearsal`.

Nobody is connected and nothing is said, so that no thread and no socket comes of it. Of the 19 ms of CPU that the
default bot takes in a fresh child from its call to its running pipeline, 8 are saved.

Imported where the bot has loaded Pipecat with its `webrtc` extra.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

from pools.agent.webrtc import RoomConnection

_TIMES = 8  # as often as Python 3.11 has to see a function before it specialises it
_LONGEST_S = 10.0


def rehearse_pipeline() -> None:
    """Raises whatever Pipecat raises."""
    with _pipecat_is_silent():
        for _ in range(_TIMES):
            asyncio.run(_play())
    asyncio.set_event_loop(None)


@contextmanager
def _pipecat_is_silent() -> Iterator[None]:
    """What the bot's import has switched off stays off afterwards: Loguru has no other way to put that back."""
    core: Any = logger._core  # type: ignore[attr-defined]
    before = core.activation_list, core.enabled
    logger.disable("pipecat")
    try:
        yield
    finally:
        core.activation_list, core.enabled = before


async def _play() -> None:
    transport = SmallWebRTCTransport(RoomConnection(), TransportParams(audio_in_enabled=True, audio_out_enabled=True))
    listening = LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    aggregators = LLMContextAggregatorPair(LLMContext(), user_params=listening)
    worker = PipelineWorker(
        Pipeline([transport.input(), aggregators.user(), transport.output(), aggregators.assistant()])
    )
    runner = WorkerRunner(handle_sigint=False)

    @worker.event_handler("on_pipeline_started")
    async def end(_worker: PipelineWorker, _frame: object) -> None:
        await runner.cancel(reason="it runs: that was all")

    await runner.add_workers(worker)
    async with asyncio.timeout(_LONGEST_S):
        await runner.run()
