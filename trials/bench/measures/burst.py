"""Measures how long the last of several calls at once waits for its bot, with fewer warm processes than calls."""

from collections.abc import Iterable

from trials.bench.progress import Progress
from trials.bench.rounds import Call, calls_at_once, kinds
from trials.figures import Figure, milliseconds
from trials.world import Sizes, World

CALLS = 10
SIZES = Sizes(processes=2, rooms=CALLS, max_processes=2 * CALLS)


def run(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    last: list[float] = []
    starts: list[Call] = []
    with world.pod(SIZES):
        for number in range(rounds):
            calls = calls_at_once(world, SIZES, CALLS, each=1)
            began = min(call.connected.sent for call in calls)
            last.append(max(call.connected.sent + call.acknowledged for call in calls) - began)
            starts += calls
            progress.done(number + 1, rounds)
    yield Figure(
        "burst_of_10",
        f"burst of {CALLS}, {SIZES.processes} processes warm: last one acknowledged",
        milliseconds(last),
        aims={"p50": 200},
        notes=kinds(starts, "warm")[:1],
    )
