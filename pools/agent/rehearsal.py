"""Runs hand-offs in the zygote before the first fork, so that its children do nothing for the first time.

Some things Python does once per process: it specialises the bytecode of a function, fills caches, builds lookup tables.
Done before the fork, the result is shared. Done after it, every child copies each page that is touched: 3.3 ms between
fork and Ready instead of 1.9.
"""

import asyncio
import logging
import socket
from typing import Any, NoReturn

from pools.agent import observe
from pools.agent.config import AgentConfig
from pools.agent.process import Agent
from pools.agent.warmup import WarmBot
from pools.protocol import FrameReader, Go, Message, Ping, Start, encode_frame

logger = logging.getLogger(__name__)

_TIMES = 16  # Python 3.11 specialises a function after 8 calls


def rehearse(config: AgentConfig, bot: WarmBot) -> None:
    """Hand sessions with a bot that does nothing to agents in this process. Nothing else changes."""
    said_before = logging.root.manager.disable
    logging.disable(logging.INFO)
    for _ in range(_TIMES):
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(_hand_off(config, WarmBot(_no_bot, bot.facts)))
        except (EOFError, BrokenPipeError):  # Go came too late on a busy machine, and the agent gave up
            logger.warning("zygote rehearsal interrupted")
        finally:
            loop.close()
    logging.disable(said_before)
    asyncio.set_event_loop(None)
    observe.listen(None)


async def _no_bot(_runner_args: Any) -> None:
    await asyncio.sleep(0)


class _Understudy(Agent):
    """An agent without the steps that change the process."""

    def _take_over_output(self, start: Start) -> None: ...

    def _take_charge(self, start: Start) -> None: ...

    def _exit(self, status: int) -> NoReturn:  # type: ignore[misc]
        self._transport.abort()


async def _hand_off(config: AgentConfig, bot: WarmBot) -> None:
    """Play the supervisor's side, with the messages in the order of a real hand-off."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    await loop.create_unix_connection(lambda: _Understudy("rehearsal", config, bot), sock=theirs)
    start = Start(session="rehearsal", attempt=1, room_url="https://", token="", body={}, session_limit=60)
    frames = FrameReader()
    with ours:
        for message in (Ping(1), start, Go(start.session, start.attempt)):
            await _answer(ours, frames)
            ours.send(encode_frame(message))
        await _answer(ours, frames)


async def _answer(ours: socket.socket, frames: FrameReader) -> list[Message]:
    """Wait for messages from the agent. Raises EOFError when it has closed the connection."""
    messages: list[Message] = []
    while not messages:
        data = await asyncio.get_running_loop().sock_recv(ours, 65536)
        if not data:
            raise EOFError
        messages = frames.feed(data)
    return messages
