"""Participants that are connected to the sandbox by WebSocket, as browsers and bots are."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from tests.support.daily_sandbox import Sandbox

Scenario = Callable[[aiohttp.ClientSession], Awaitable[None]]
EVENT_SECONDS = 10


def play(scenario: Scenario) -> None:
    """Run a scenario that talks WebSocket."""

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            await scenario(session)

    asyncio.run(run())


class Visitor:
    """A participant that is connected by WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    @classmethod
    async def join(
        cls, session: aiohttp.ClientSession, sandbox: Sandbox, room: str, token: str | None, name: str | None = None
    ) -> tuple["Visitor", dict[str, Any]]:
        """Connects; the visitor and the first event."""
        socket = await session.ws_connect(f"{sandbox.url}/sandbox/rooms/{room}/join")
        await socket.send_json({"token": token, "user_name": name})
        visitor = cls(socket)
        return visitor, await visitor.next()

    @property
    def transport(self) -> asyncio.Transport:
        """The connection below, for rude behaviour."""
        connection = self.socket._response.connection
        assert connection is not None
        assert isinstance(connection.transport, asyncio.Transport)
        return connection.transport

    async def next(self) -> dict[str, Any]:
        return await self.socket.receive_json(timeout=EVENT_SECONDS)

    async def closed(self) -> bool:
        return (await self.socket.receive(timeout=EVENT_SECONDS)).type is aiohttp.WSMsgType.CLOSE
