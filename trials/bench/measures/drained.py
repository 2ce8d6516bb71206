"""Measures connects with empty pools, where rooms and processes are made on demand."""

from collections.abc import Iterable

from trials.bench.progress import Progress
from trials.bench.rounds import Call, kinds, one_call
from trials.figures import Figure, milliseconds
from trials.world import Sizes, World

ROOMS = 5


def without_processes(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    calls = _calls(world, Sizes(0, ROOMS), rounds, progress)
    yield _figure("acknowledged_no_process", "process pool empty", calls, "partial", {"p50": 60})


def without_anything(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    calls = _calls(world, Sizes(0, 0), rounds, progress)
    yield _figure("acknowledged_nothing", "both pools empty", calls, "cold", {})


def spawning(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    calls = _calls(world, Sizes(0, ROOMS, start_method="spawn"), rounds, progress)
    yield _figure("acknowledged_spawn", "process pool empty, spawned", calls, "partial", {})


def _calls(world: World, sizes: Sizes, rounds: int, progress: Progress) -> list[Call]:
    calls = []
    with world.pod(sizes), world.api() as api:
        for number in range(rounds):
            calls.append(one_call(world, api))
            world.wait_until_settled(sizes)
            progress.done(number + 1, rounds)
    return calls


def _figure(name: str, what: str, calls: list[Call], expected: str, aims: dict[str, float]) -> Figure:
    samples = milliseconds([call.acknowledged for call in calls])
    return Figure(name, f"connect request to acknowledged, {what}", samples, aims=aims, notes=kinds(calls, expected))
