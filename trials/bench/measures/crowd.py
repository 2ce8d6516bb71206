"""Eight clients at once, each with a connection of its own and one connect after the other, all of them warm."""

import os
from collections.abc import Iterable
from pathlib import Path

from trials.bench.progress import Progress
from trials.bench.rounds import Call, calls_at_once, kinds
from trials.figures import Figure, milliseconds
from trials.world import Sizes, World

CLIENTS = 8
EACH = 1
# Bots that run and processes that take their place are there at the same time.
SIZES = Sizes(processes=CLIENTS * EACH, rooms=CLIENTS * EACH, max_processes=3 * CLIENTS * EACH)


def run(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    calls: list[Call] = []
    with world.pod(SIZES):
        memory = [private_megabytes(pid) for pid in world.rows.idle_pids()] if os.geteuid() == 0 else []
        for number in range(rounds):
            calls += calls_at_once(world, SIZES, CLIENTS, EACH)
            progress.done(number + 1, rounds)
    notes = kinds(calls, "warm")
    yield Figure(
        "connect_8_clients",
        f"HTTP connect, warm pair, {CLIENTS} clients",
        milliseconds([call.connected.seconds for call in calls]),
        aims={"p99": 60},
        notes=notes,
    )
    yield Figure(
        "acknowledged_8_clients",
        f"connect request to acknowledged, {CLIENTS} clients",
        milliseconds([call.acknowledged for call in calls]),
        notes=notes,
    )
    if memory:  # agents show it to nobody but root
        yield Figure("private_memory", "private memory of an idle process", memory, unit="MB", aims={"p50": 10})


def private_megabytes(pid: int) -> float:
    """Return Private_Dirty, the memory that this process alone has written; the rest is the zygote's."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return int(fields["Private_Dirty"].split()[0]) / 1024
