"""Bots that can join before anybody has claimed them: hot pairs (`VOICE_AGENT_PREJOIN`).

A bot module says that it can with `PREJOIN = True`. It is then called with an empty body and joins its room; what it is
to say depends on `await claimed_body(runner_args)`, which returns at the claim. A caller comes only after that. Called
in the ordinary way, with its body, it gets that at once.
"""

import asyncio
from typing import Any

DECLARATION = "PREJOIN"

_waiting: asyncio.Future[dict[str, Any]] | None = None


def begin() -> None:
    """The bot of this process is about to be called without its body."""
    global _waiting
    _waiting = asyncio.get_running_loop().create_future()


def deliver(body: dict[str, Any]) -> None:
    if _waiting is not None and not _waiting.done():
        _waiting.set_result(body)


async def claimed_body(runner_args: Any) -> dict[str, Any]:
    """The body of the session, as soon as there is one."""
    if _waiting is None:
        return runner_args.body or {}
    return await asyncio.shield(_waiting)
