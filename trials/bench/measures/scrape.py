"""GET /metrics with 10,000 live rows and a million ended sessions behind them. Filling takes longer than measuring."""

from collections.abc import Iterable

from trials.bench.history import write_history
from trials.bench.live_rows import live_rows
from trials.bench.measures.floors import seconds
from trials.bench.measures.warm import SIZES
from trials.bench.progress import Progress
from trials.bench.rounds import one_call
from trials.figures import Figure, milliseconds
from trials.world import World

ENDED = 1_000_000
UNMEASURED = 4  # each worker plans the statements for the first time


def run(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    with world.pod(SIZES), world.api() as api:
        one_call(world, api)  # what the past is copied from
        world.wait_until_settled(SIZES)
    write_history(world.environment["DATABASE_URL"], ENDED, lambda done: progress.done(done, ENDED))
    with live_rows(world.rows), world.api() as api:
        taken = [seconds(api.metrics) for _ in range(UNMEASURED + rounds)][UNMEASURED:]
    title = "GET /metrics, 10,000 live rows, a million ended sessions"
    yield Figure("scrape", title, milliseconds(taken), aims={"p99": 200})
