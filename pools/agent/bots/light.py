"""A bot without Pipecat that stays in the room and says nothing.

For load and chaos runs, where processes matter and voices do not.

It stays until the caller has left, or for `body["duration_s"]` seconds if that is given.
"""

import asyncio
from typing import Any

from pools.agent import report
from pools.agent.sandbox_room import current_room


async def bot(runner_args: Any) -> None:
    caller_left = asyncio.Event()
    present: set[str] = set()

    def room_changed(event: str, participant: dict[str, Any]) -> None:
        if event == "joined":
            present.add(participant["id"])
        else:
            present.discard(participant["id"])
            if not present:
                caller_left.set()

    if room := current_room():
        room.subscribe(room_changed)
    duration = (runner_args.body or {}).get("duration_s")
    try:
        async with asyncio.timeout(float(duration) if duration is not None else None):
            await caller_left.wait()
    except TimeoutError:
        report(outcome="duration_over")
    else:
        report(outcome="caller_left")
