"""Is the claim as fast after a million ended sessions as on the first day? Also while the past is being deleted, and
while somebody holds an old snapshot open (a forgotten transaction, a dump), so that nothing dead can be vacuumed."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import psycopg

from trials.bench.history import write_history
from trials.bench.measures.warm import SIZES, UNMEASURED
from trials.bench.progress import Progress
from trials.bench.rounds import Call, kinds, one_call
from trials.figures import Figure, milliseconds, ratio
from trials.world import World

SESSIONS = 1_000_000
AIM = {"p50": 1.2}  # times the first day; two measurements of one thing differ by as much
OLD = "SELECT count(*) FROM pools_voicesession WHERE ended_at < now() - interval '30 days'"


def run(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    url = world.environment["DATABASE_URL"]
    first_day = yield from _figures("first_day", "on the first day", _calls(world, rounds, progress))

    def written(sessions: int) -> None:
        progress.done(sessions, SESSIONS)
        world.pause(0)  # hears Ctrl-C

    write_history(url, SESSIONS, written)
    old = yield from _figures("history", "after a million sessions", _calls(world, rounds, progress))
    with _snapshot(url):
        held = yield from _figures("snapshot", "and with a snapshot held open", _calls(world, rounds, progress))
    before = world.rows.number(OLD)
    cleaned = yield from _figures(
        "retention", "while the million is deleted", _calls(world, rounds, progress, RETENTION_DAYS="30")
    )
    for name, figure in (("history", old), ("snapshot", held), ("retention", cleaned)):
        yield ratio(f"{name}_ratio", f"{figure.title} : first day", figure, first_day, AIM)
    yield Figure("deleted", "ended sessions deleted meanwhile", [before - world.rows.number(OLD)], unit="")


def _calls(world: World, rounds: int, progress: Progress, **variables: str) -> list[Call]:
    calls = []
    with world.pod(SIZES, **{"RETENTION_DAYS": "0", **variables}), world.api() as api:
        for number in range(-UNMEASURED, rounds):
            call = one_call(world, api)
            world.wait_until_settled(SIZES)
            if number >= 0:
                calls.append(call)
                progress.done(number + 1, rounds)
    return calls


def _figures(name: str, when: str, calls: list[Call]) -> Generator[Figure, None, Figure]:
    """Yield two figures, and return the first one."""
    connect = Figure(
        f"connect_{name}", f"HTTP connect, warm pair, {when}", milliseconds([call.connected.seconds for call in calls])
    )
    yield connect
    yield Figure(
        f"acknowledged_{name}",
        f"acknowledged, warm pair, {when}",
        milliseconds([call.acknowledged for call in calls]),
        notes=kinds(calls, "warm"),
    )
    return connect


@contextmanager
def _snapshot(url: str) -> Iterator[None]:
    with psycopg.connect(url) as connection:
        connection.execute("SET idle_in_transaction_session_timeout = 0")  # ours would end it after half a minute
        connection.commit()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM pools_pod")
        yield
