"""No pools, as in the system that we replace when its own are empty: while the caller waits, a fresh process, then a
room over a new connection, then two meeting tokens, one after the other.
"""

import uuid
from collections.abc import Iterable

from benchmarks.figures import Figure, milliseconds
from benchmarks.measures.floors import daily_client, new_room, seconds
from benchmarks.measures.forks import end, wait_for_ready
from benchmarks.progress import Progress
from benchmarks.world import World
from pools.agent.launcher import AgentChannel, spawn
from pools.daily.client import DailyClient

TOKEN_PROPERTIES = {"exp": 0, "eject_at_token_exp": True}


def run(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    processes, rooms, tokens = [], [], []
    for number in range(rounds):
        processes.append(_fresh_process(world))
        client, room = daily_client(world), new_room()
        rooms.append(seconds(lambda client=client, room=room: client.create_room(room)))  # type: ignore[misc]
        tokens.append(seconds(lambda client=client, room=room: _mint_two(client, room.name)))  # type: ignore[misc]
        progress.done(number + 1, rounds)
    yield Figure("no_pool_process", "no pool: fresh process until Ready", milliseconds(processes))
    yield Figure("no_pool_room", "no pool: room over REST, new connection", milliseconds(rooms))
    yield Figure("no_pool_tokens", "no pool: two tokens over REST", milliseconds(tokens))
    together = [sum(parts) for parts in zip(processes, rooms, tokens, strict=True)]
    yield Figure("no_pool", "no pool: all three, one after the other", milliseconds(together))
