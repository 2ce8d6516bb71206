"""A pipeline built, started and ended in the zygote, as a bot's will be; see `rehearsal`.

No room is entered and nothing is said, so that no thread and no socket is left of it. Of the 19 ms of CPU that the
default bot takes in a fresh child from its call to its running pipeline, 8 are saved.

Imported where the bot has loaded Pipecat with its `daily` and `webrtc` extras.
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
from pipecat.transports.daily.transport import DailyParams, DailyTransport
from pipecat.workers.runner import WorkerRunner

from pools.agent.local_daily import CallClient, stand_in

_TIMES = 8  # as often as Python 3.11 has to see a function before it specialises it
_LONGEST_S = 10.0


def rehearse_pipeline() -> None:
    """Raises whatever Pipecat raises."""
    daily_again = stand_in(_NoRoom)
    try:
        with _pipecat_is_silent():
            for _ in range(_TIMES):
                asyncio.run(_play())
    finally:
        daily_again()
    asyncio.set_event_loop(None)


class _NoRoom(CallClient):
    """Is let in, and is alone."""

    async def _enter(self, url: str, token: str) -> None: ...


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
    transport = DailyTransport("", None, "rehearsal", DailyParams(audio_in_enabled=True, audio_out_enabled=True))
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
