"""How long the operators' pages take after a million ended sessions, a week of samples and ten thousand misses."""

import re
import time
from collections.abc import Callable, Iterable

import psycopg
import requests

from trials.bench.history import write_history
from trials.bench.progress import Progress
from trials.bench.rounds import one_call
from trials.figures import Figure, milliseconds
from trials.world import DidNotHappen, Sizes, World

SESSIONS = 1_000_000
SIZES = Sizes(processes=4, rooms=6)
AIM = {"p99": 1000.0}
# The copies are spread over the last week, the newest keys last; one in a hundred missed.
SPREAD = """
UPDATE pools_voicesession SET
    created_at = now() - make_interval(secs => 7 * 86400 * (1 - (id - low) / (high - low + 1.0))),
    active_at = now() - make_interval(secs => 7 * 86400 * (1 - (id - low) / (high - low + 1.0)) - 0.02),
    start_kind = CASE WHEN id % 100 = 0 THEN 'partial' ELSE 'warm' END,
    agent_miss = CASE WHEN id % 100 = 0 THEN 'burst' ELSE '' END
FROM (SELECT min(id) AS low, max(id) AS high FROM pools_voicesession) AS bounds WHERE status = 'ended'"""
SAMPLES = """
INSERT INTO pools_poolsample (at, pods, agents_available, agents_warming, agents_in_use, agents_target,
    rooms_available, rooms_warming, rooms_in_use, rooms_target, waiting, last_session,
    warm, partial, cold, acknowledged, connect_p50_ms, connect_p99_ms, daily_left)
SELECT now() - make_interval(secs => 10 * n), 1, 4, 0, 2, 4, 6, 0, 2, 6, 0,
    high - (high - low) * n / 60480, 16, 1, 0, 17, 19, 45, 0.8
FROM generate_series(60480, 1, -1) AS n, (SELECT min(id) AS low, max(id) AS high FROM pools_voicesession) AS bounds"""
A_SESSION = "SELECT uuid, id FROM pools_voicesession ORDER BY id DESC OFFSET 1000 LIMIT 1"


def run(world: World, rounds: int, progress: Progress) -> Iterable[Figure]:
    url = world.environment["DATABASE_URL"]
    with world.pod(SIZES, RETENTION_DAYS="0"):
        with world.api() as api:
            one_call(world, api)
        world.wait_until_settled(SIZES)

        def written(sessions: int) -> None:
            progress.done(sessions, SESSIONS)
            world.pause(0)  # hears Ctrl-C

        write_history(url, SESSIONS, written)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SPREAD)
            connection.execute(SAMPLES)
            connection.execute("VACUUM ANALYZE")
            session = connection.execute(A_SESSION).fetchone()
        if session is None:
            raise DidNotHappen("no sessions were written")
        uuid, key = session
        ask = _logged_in(world)
        for name, title, path in (
            ("dashboard", "the dashboard's page", "/admin/"),
            ("live", "what it asks for every 3 s", "/admin/live.json?span=1h"),
            ("week", "the charts of seven days", "/admin/live.json?span=7d"),
            ("sessions", "the list of sessions", "/admin/pools/voicesession/"),
            ("missed", "those that missed", "/admin/pools/voicesession/?agent_miss=burst&start_kind__exact=partial"),
            ("search", "a session found by the beginning of its id", f"/admin/pools/voicesession/?q={str(uuid)[:8]}"),
            ("session", "the page of a session", f"/admin/pools/voicesession/{key}/change/"),
        ):
            yield Figure(f"cockpit_{name}", f"cockpit: {title}", _times(ask, path, rounds, progress), aims=AIM)


def _times(ask: Callable[[str], float], path: str, rounds: int, progress: Progress) -> list[float]:
    ask(path)
    times = []
    for number in range(rounds):
        times.append(ask(path))
        progress.done(number + 1, rounds)
    return milliseconds(times)


def _logged_in(world: World) -> Callable[[str], float]:
    """Return the seconds that a page takes for the administrator."""
    http = requests.Session()
    form = http.get(f"{world.url}/admin/login/", timeout=30).text
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    name, password = world.admin
    http.post(
        f"{world.url}/admin/login/",
        data={"username": name, "password": password, "csrfmiddlewaretoken": found[1] if found else ""},
        timeout=30,
    )

    def ask(path: str) -> float:
        began = time.perf_counter()
        answer = http.get(world.url + path, timeout=60, allow_redirects=False)
        if answer.status_code != 200:
            raise DidNotHappen(f"{path}: HTTP {answer.status_code}")
        return time.perf_counter() - began

    return ask
