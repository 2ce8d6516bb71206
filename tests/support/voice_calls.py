"""Calls with a voice in tests: a room of the sandbox with the bot in it, and a token for the caller."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pools.protocol import CallerJoined, Ended, FirstAudio
from tests.support.agents import Agent, Agents
from tests.support.daily_sandbox import Sandbox
from trials.bench.voice_caller import VoiceCaller


class Call:
    """A private room, the bot in it, and Ada's token."""

    def __init__(
        self,
        agents: Agents,
        sandbox: Sandbox,
        body: dict[str, Any] | None = None,
        agent: Agent | None = None,
        room: dict[str, Any] | None = None,
        **start: Any,
    ) -> None:
        self.room = sandbox.create_room(privacy="private", enforce_unique_user_ids=True, **(room or {}))["name"]
        self.url = f"{sandbox.url}/{self.room}"
        self.token = sandbox.token(self.room, user_id="ada", user_name="Ada")
        self.agent = agent or agents.start()
        bot = sandbox.token(self.room, user_id="bot", is_owner=True)
        body = body or {"payload": {"customer_name": "Ada"}}
        self.session = self.agent.go(body, room_url=self.url, token=bot, **start).session

    async def join(self, caller: VoiceCaller, resume: str | None = None) -> None:
        await caller.join(self.url, self.token, resume)

    def play(self, scenario: Callable[[VoiceCaller], Awaitable[None]]) -> None:
        async def run() -> None:
            async with VoiceCaller() as caller:
                await scenario(caller)

        asyncio.run(run())

    def end(self) -> Ended:
        """The end of a call in which the bot was heard."""
        while not isinstance(message := self.agent.next(), Ended):
            assert isinstance(message, CallerJoined | FirstAudio), message
        return message


def spoken(ended: Ended, role: str) -> str:
    """What one side has said, by the transcript."""
    return " ".join(entry["content"] for entry in ended.transcript if entry["role"] == role)
