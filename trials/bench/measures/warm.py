"""One client and full pools: what a caller waits for, how soon the bot has the call, how soon the pools are full."""

from collections.abc import Iterable

from trials.bench.measures.floors import daily_calls
from trials.bench.progress import Progress
from trials.bench.rounds import Call, kinds, one_call
from trials.figures import Figure, milliseconds, ratio
from trials.world import Sizes, World

SIZES = Sizes(processes=3, rooms=5)  # the defaults
UNMEASURED = 2  # each of gunicorn's workers does some things for the first time
DAILY_CALLS = 40


def run(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    calls: list[Call] = []
    process_refills: list[float] = []
    room_refills: list[float] = []
    with world.pod(SIZES), world.api() as api:
        for number in range(-UNMEASURED, rounds):
            call = one_call(world, api)
            process_refill = world.wait_for("process refill", world.rows.process_refill)
            room_refill = world.wait_for("room refill", world.rows.room_refill)
            world.wait_until_settled(SIZES)
            if number < 0:
                continue
            calls.append(call)
            process_refills.append(process_refill)
            room_refills.append(room_refill)
            progress.done(number + 1, rounds)
        daily_call = Figure("daily_call", "", milliseconds(daily_calls(world, min(rounds, DAILY_CALLS))))
    notes = kinds(calls, "warm")
    yield Figure(
        "connect_1_client",
        "HTTP connect, warm pair, 1 client",
        milliseconds([call.connected.seconds for call in calls]),
        aims={"p50": 8, "p99": 25},
        notes=notes,
    )
    yield Figure(
        "acknowledged_warm",
        "connect request to acknowledged, warm pair",
        milliseconds([call.acknowledged for call in calls]),
        aims={"p50": 12, "p99": 40},
        notes=notes,
    )
    yield Figure(
        "process_refill", "hand-out to process pool full again", milliseconds(process_refills), aims={"p50": 60}
    )
    refill = Figure("room_refill", "hand-out to room pool full again", milliseconds(room_refills))
    yield refill
    yield ratio(
        "room_refill_ratio", "room refill : one Daily call of the same minutes", refill, daily_call, {"p50": 1.2}
    )
