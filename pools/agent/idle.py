"""What a bot does in an idle process, so that it is done when a session comes: its module's `async def warm_up()`.

It is called in the event loop of the session, after `Ready`, and then once a minute until somebody calls: whatever it
opens (a connection to a provider) would otherwise be closed by the other end in the meantime. The process is as ready
without it: a call that fails, or takes longer than its deadline, is logged once and tried again a minute later.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pools.logs.redaction import process_redactor

logger = logging.getLogger(__name__)

WarmUp = Callable[[], Awaitable[None]]
DECLARATION = "warm_up"

BEFORE_THE_FIRST_SECONDS = 0.2  # who is wanted at once has no time to lose
EVERY_SECONDS = 60.0  # less than providers keep a silent connection
DEADLINE_SECONDS = 10.0


class Idle:
    """The time of a process between `Ready` and its caller."""

    def __init__(self, agent: str, warm_up: WarmUp | None) -> None:
        self._agent = agent
        self._warm_up = warm_up
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        if self._warm_up is not None:
            self._task = asyncio.get_running_loop().create_task(self._keep_warm(self._warm_up))

    def end(self) -> None:
        """Somebody calls: the loop is theirs, and a call that is under way is given up."""
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
