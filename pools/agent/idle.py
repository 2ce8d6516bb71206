"""Calls a bot's `async def warm_up()` in an idle process, so that its connections are open when a session comes.

It is called in the session's event loop, after `Ready`, and then once a minute until a session comes, because providers
close connections that are not used. The process counts as ready without it: if a call fails or exceeds its deadline,
that is logged once, and it is called again a minute later.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pools.logs.redaction import process_redactor

logger = logging.getLogger(__name__)

WarmUp = Callable[[], Awaitable[None]]
DECLARATION = "warm_up"

BEFORE_THE_FIRST_SECONDS = 0.2  # so that it does not delay a session that comes at once
EVERY_SECONDS = 60.0  # less than providers keep a silent connection
DEADLINE_SECONDS = 10.0


class Idle:
    """Keeps a bot warm between `Ready` and the session."""

    def __init__(self, agent: str, warm_up: WarmUp | None) -> None:
        self._agent = agent
        self._warm_up = warm_up
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        if self._warm_up is not None:
            self._task = asyncio.get_running_loop().create_task(self._keep_warm(self._warm_up))

    def end(self) -> None:
        """Stop, because a session has come; a call of `warm_up` that is under way is cancelled."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _keep_warm(self, warm_up: WarmUp) -> None:
        failed = False
        await asyncio.sleep(BEFORE_THE_FIRST_SECONDS)
        while True:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await warm_up()
            except Exception as error:
                if not failed:
                    words = process_redactor().text(f"{type(error).__name__}: {error}")[:200]
                    logger.warning("agent=%.8s the bot's warm_up failed error=%s", self._agent, words)
                failed = True
            await asyncio.sleep(EVERY_SECONDS)
