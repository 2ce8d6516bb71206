"""No pools, as in the system that we replace when its own are empty: while the caller waits, a fresh process, then a
room over a new connection, then two meeting tokens, one after the other.
"""

import time
import uuid
from collections.abc import Iterable

from pools.agent.launcher import spawn
from pools.daily.tokens import TokenRequest
from trials.bench.measures.floors import daily_client, new_room
from trials.bench.measures.forks import end, wait_for_ready
from trials.bench.progress import Progress
from trials.figures import Figure, milliseconds
from trials.world import World

TOKEN_LIFE_S = 1800


def run(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    parts = []
    for number in range(rounds):
        parts.append((_fresh_process(world), *_room_and_tokens(world)))
        progress.done(number + 1, rounds)
    processes, rooms, tokens = (milliseconds(part) for part in zip(*parts, strict=True))
    yield Figure("no_pool_process", "no pool: fresh process until Ready", processes)
    yield Figure("no_pool_room", "no pool: room over REST, new connection", rooms)
    yield Figure("no_pool_tokens", "no pool: two tokens over REST", tokens)
    yield Figure("no_pool", "no pool: all three, one after the other", milliseconds([sum(part) for part in parts]))


def _fresh_process(world: World) -> float:
    began = time.perf_counter()
    channel = spawn(world.agent_config, str(uuid.uuid4()))
    wait_for_ready(channel)
    taken = time.perf_counter() - began
    end(world, channel)
    return taken


def _room_and_tokens(world: World) -> tuple[float, float]:
    client, room = daily_client(world), new_room()
    began = time.perf_counter()
    client.create_room(room)
    made = time.perf_counter()
    for user, owner in (("bot", True), ("caller", False)):
        client.mint_token(TokenRequest(room.name, user, user, owner, TOKEN_LIFE_S).properties(time.time()))
    return made - began, time.perf_counter() - made
