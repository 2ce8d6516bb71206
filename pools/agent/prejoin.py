"""Lets bots join a room before their session is claimed: pre-joined pairs (`VOICE_AGENT_PREJOIN`).

A bot module declares that it can with `PREJOIN = True`. It is then called with an empty body and joins its room, and
`await claimed_body(runner_args)` returns the session's body at the claim, before the caller joins. If the bot is called
in the ordinary way, with its body, that call returns at once.
"""

import asyncio
from typing import Any

DECLARATION = "PREJOIN"

_waiting: asyncio.Future[dict[str, Any]] | None = None


def begin() -> None:
    """Prepare for a bot that is called before its session is claimed."""
    global _waiting
    _waiting = asyncio.get_running_loop().create_future()


def deliver(body: dict[str, Any]) -> None:
    if _waiting is not None and not _waiting.done():
        _waiting.set_result(body)


async def claimed_body(runner_args: Any) -> dict[str, Any]:
    """Return the body of the session, as soon as it is claimed."""
    if _waiting is None:
        return runner_args.body or {}
    return await asyncio.shield(_waiting)
