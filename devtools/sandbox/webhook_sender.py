"""Delivers events to webhooks, with a task per webhook, and tests the address of a new webhook."""

import asyncio
import logging
import time
from typing import Any

import aiohttp

from devtools.sandbox.errors import invalid_request
from devtools.sandbox.webhooks import Webhook, Webhooks
from devtools.sandbox.world import World

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 8.0
LOOK_SECONDS = 0.02
TEST = b'{"test":"test"}'


class WebhookSender:
    """Runs in the server's event loop. `world.webhooks` may be replaced at any time (a reset)."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._http: aiohttp.ClientSession | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))
        self._watch = asyncio.create_task(self._look())

    async def stop(self) -> None:
        tasks = [*self._tasks.values(), *([self._watch] if self._watch else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    async def create(self, wanted: dict[str, Any]) -> Webhook:
        """Create a webhook after its address answers a test. Raises DailyError unless it answers 200 in time."""
        webhook = self._world.webhooks.new(wanted)
        await self._test(webhook.url, webhook)
        self._world.webhooks.add(webhook)
        return webhook

    async def update(self, uuid: str, wanted: dict[str, Any]) -> Webhook:
        webhooks = self._world.webhooks
        webhook = webhooks.get(uuid)
        webhooks.check(wanted)
        await self._test(wanted.get("url") or webhook.url, webhook)
        webhooks.update(webhook, wanted)
        return webhook

    async def _test(self, url: str, webhook: Webhook) -> None:
        if not await self._post(url, webhook, TEST):
            raise invalid_request(f"the test message to {url} was not answered with 200")

    async def _look(self) -> None:
        while True:
            current = {webhook.uuid: webhook for webhook in self._world.webhooks.all()}
            for gone in self._tasks.keys() - current.keys():
                self._tasks.pop(gone).cancel()
            for uuid, webhook in current.items():
                if webhook.waiting and (uuid not in self._tasks or self._tasks[uuid].done()):
                    self._tasks[uuid] = asyncio.create_task(self._deliver(webhook, self._world.webhooks))
            await asyncio.sleep(LOOK_SECONDS)

    async def _deliver(self, webhook: Webhook, webhooks: Webhooks) -> None:
        """Deliver until no event waits."""
        while webhook.waiting and webhooks is self._world.webhooks:
            if await self._post(webhook.url, webhook, webhook.waiting[0]):
                webhook.succeeded()
            else:
                await asyncio.sleep(webhook.failed())

    async def _post(self, url: str, webhook: Webhook, body: bytes) -> bool:
        """Send one event. Returns whether it was answered with 200 in time."""
        if self._http is None:
            raise RuntimeError("the sender has not been started")
        # Signed by the real time, which the receiver has; the sandbox's own may have been moved.
        headers = webhook.headers(body, time.time())
        try:
            async with self._http.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.info("event=webhook_failed url=%s problem=%s", url, type(error).__name__)
            return False
