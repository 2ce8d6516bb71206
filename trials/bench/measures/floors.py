"""Measures the lower bounds of all other figures: this machine, this disk and this Daily."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from pools.daily.client import DailyClient, NewRoom
from pools.daily.room_names import room_name
from trials.bench.progress import Progress
from trials.figures import Figure, milliseconds
from trials.world import World

CHEAP_ROUNDS = 5  # of what takes no time, for each of what does
LOOP = 20_000


def run(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    loops = [seconds(_loop) for _ in range(rounds * CHEAP_ROUNDS)]
    world.rows.prepare_commits()
    commits = [seconds(world.rows.commit) for _ in range(rounds * CHEAP_ROUNDS)]
    with world.api() as api:
        api.health()
        requests = [seconds(api.health) for _ in range(rounds * CHEAP_ROUNDS)]
    progress.done(1, 2)
    yield Figure("cpu", f"a loop of Python, {LOOP} turns (how steady is this machine?)", milliseconds(loops))
    yield Figure("commit", "one durable commit of PostgreSQL", milliseconds(commits))
    yield Figure("http_round_trip", "GET /health through gunicorn and Django", milliseconds(requests))
    yield Figure(
        "daily_call", "one Daily call (POST /rooms, warm connection)", milliseconds(daily_calls(world, rounds))
    )


def _loop() -> None:
    for _ in range(LOOP):
        pass


def daily_calls(world: World, number: int) -> list[float]:
    """Return the seconds of creating rooms one after the other over one connection."""
    client = daily_client(world)
    client.domain()
    taken = []
    for _ in range(number):
        taken.append(seconds(lambda: client.create_room(new_room())))
        world.pause(0)
    return taken


def daily_client(world: World) -> DailyClient:
    """Return a client without a connection."""
    return DailyClient(world.sandbox.url, world.sandbox.api_key)


def new_room() -> NewRoom:
    """Return a room with a prefix that no pod uses."""
    return NewRoom(room_name("bench"), datetime.now(UTC) + timedelta(minutes=10))


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
