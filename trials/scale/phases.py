"""The parts of a run, in order. Each adds its figures."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from trials.bench.history import write_history
from trials.console import say
from trials.figures import percentile_of
from trials.scale.database import Load, Meter
from trials.scale.fleet import Fleet
from trials.scale.report import Figures, Line
from trials.scale.rooms import forget_rooms, write_rooms
from trials.world import DidNotHappen, World

PAIRS = 5  # of each kind a pod: 500 of a hundred
CLIENTS = (1, 8, 32)
CLAIMS, BY_ONE = 480, 160  # of 500: a multiple of the clients; while the pods stand still their leases run
CALL_S = 3.0
IDLE_AIM, CLAIMS_AIM = 0.05, 1000.0
REAP_LEASE_S = 10.0  # pools.models.pods
FILL_S, LEVEL_S, ENDED_S = 240.0, 120.0, 60.0
BROADCASTS, BROADCAST_S = 20, 0.35
STOCK = """
SELECT (SELECT count(*) FROM pools_agentprocess WHERE status = 'available'),
       (SELECT count(*) FROM pools_room WHERE status = 'available' AND pod_id IS NOT NULL),
       (SELECT count(*) FROM pools_voicesession WHERE status <> 'ended')"""
ALIVE = "SELECT count(*) FROM pools_pod WHERE ended_at IS NULL"
SPREAD = """
SELECT count(s.id) FROM pools_pod p LEFT JOIN pools_agentprocess a ON a.pod_id = p.id
LEFT JOIN pools_voicesession s ON s.agent_process_id = a.id AND s.id > %(after)s
WHERE p.ended_at IS NULL GROUP BY p.id ORDER BY 1"""
UNACKNOWLEDGED = """
SELECT count(*) FROM pools_voicesession WHERE id > %s AND active_at IS NULL AND status <> 'ended'"""
ENDED_AS = "SELECT end_reason, count(*) FROM pools_voicesession WHERE id > %s GROUP BY 1 ORDER BY 1"
HANDED_AGAIN = "SELECT count(*) FROM pools_voicesession WHERE id > %s AND attempt > 1"
NEWEST = "SELECT coalesce(max(id), 0) FROM pools_voicesession"


@dataclass
class Run:
    world: World
    fleet: Fleet
    meter: Meter
    report: Figures
    seconds: float  # of each look at the idle fleet

    # --- the state of the fleet ---------------------------------------------------------------------------

    def is_level(self) -> bool:
        forget_rooms(self.world.rows)
        agents, rooms, sessions = self.world.rows.rows(STOCK)[0]
        return bool(agents == rooms == self.alive() * PAIRS and not sessions)

    def alive(self) -> int:
        """Return the live pods, fewer than the fleet's size if a late pod was reaped on this busy machine."""
        return self.world.rows.number(ALIVE)

    def until_level(self, deadline: float = LEVEL_S) -> float:
        began = time.monotonic()
        try:
            self.world.wait_for("a level fleet", self.is_level, deadline, step=0.1)
        except DidNotHappen:
            agents, rooms, sessions = self.world.rows.rows(STOCK)[0]
            found = f"{self.alive()} pods, {agents} processes, {rooms} rooms, {sessions} sessions"
            raise DidNotHappen(f"not level within {deadline:g} s: {found}") from None
        return time.monotonic() - began

    def load(self, seconds: float) -> Load:
        self.meter.begin(self.fleet.pids)
        self.world.pause(seconds)
        return self.meter.end()

    # --- phases -------------------------------------------------------------------------------------------

    def grow_to(self, pods: int) -> None:
        say(f"{pods} pods")
        began = time.monotonic()
        self.fleet.grow(pods - self.fleet.size)
        self.world.wait_for("all pods alive", lambda: self.alive() >= pods, FILL_S)
        self.until_level(FILL_S)
        refused = self.world.sandbox.rate_limited()
        rooms = pods * PAIRS
        words = f"{time.monotonic() - began:.1f} s until {rooms} rooms and processes are there; {refused} answers 429"
        figure = {"seconds": time.monotonic() - began, "rate_limited": refused}
        line = Line(f"{pods} pods from nothing or fewer", words, "no 429", not refused)
        self.report.add(f"fill_{pods}", line, figure)

    def idle(self, name: str, about: str, *, aim: bool = False) -> Load:
        self.world.pause(3.0)
        load = self.load(self.seconds)
        self.report.add_load(f"idle_{name}", f"idle, {about}", load, at_most=IDLE_AIM if aim else None)
        return load

    def broadcasts(self, idle: Load) -> None:
        """Measure how soon all pods read the rows after a NOTIFY, and what a NOTIFY costs."""
        firsts, lasts, missed = [], [], 0
        for _ in range(BROADCASTS):
            since = time.monotonic()
            self._notify()
            self.world.pause(BROADCAST_S)
            woken = list(self.fleet.woken(since).values())
            missed += self.fleet.size - len(woken)
            firsts.append(percentile_of(woken, 50) * 1000)
            lasts.append(max(woken) * 1000)
        half, last = percentile_of(firsts, 50), percentile_of(lasts, 50)
        words = f"half of the pods have looked after {half:.0f} ms, the last after {last:.0f} ms"
        words += f" (p50 of {BROADCASTS}; at worst {max(lasts):.0f} ms; {missed} only at their next poll)"
        self.report.add(
            "fan_out", Line(f"NOTIFY to {self.fleet.size} pods", words), {"half_ms": firsts, "last_ms": lasts}
        )
        self.meter.begin(self.fleet.pids)
        number = 0
        until = time.monotonic() + self.seconds / 2
        while time.monotonic() < until:
            self._notify()
            number += 1
            self.world.pause(0.2)
        load = self.meter.end()
        each = (load.cores - idle.cores) * load.seconds / number * 1000
        pods = (load.pods_cores - idle.pods_cores) * load.seconds / number * 1000
        words = f"{each:.1f} ms of PostgreSQL's CPU, {pods:.0f} ms of the pods' together"
        self.report.add("fan_out_cost", Line("each such NOTIFY costs", words), {"postgres_ms": each, "pods_ms": pods})

    def _notify(self) -> None:
        self.world.rows.execute("SELECT pg_notify('breezebuddy_pools', '')", {})

    def claims(self, name: str, about: str) -> None:
        """The claim alone, for the database's sake with pods that stand still; then with the word to the pods; then
        with all of them at work on this machine."""
        for clients in CLIENTS:
            self._claims(name, about, clients, standing_still=True, silently=True)
        self._claims(f"{name}_told", f"{about}, the pods told of each", 8, standing_still=True)
        self._claims(f"{name}_awake", f"{about}, the pods told and at work on this machine", 8)

    def _claims(
        self, name: str, about: str, clients: int, *, standing_still: bool = False, silently: bool = False
    ) -> None:
        number = min(CLAIMS if clients > 1 else BY_ONE, self.fleet.size * PAIRS // 32 * 32)
        write_rooms(self.world.rows, number + 20, f"{name}-{clients}-{time.monotonic_ns()}")
        after = self.world.rows.number(NEWEST)
        self.meter.begin(self.fleet.pids)
        claims = self.fleet.claim(clients, number, standing_still=standing_still, silently=silently)
        load = self.meter.end()
        self.report.add_claims(
            f"claims_{name}_{clients}",
            f"claim() with {clients} client{'s' * (clients > 1)}, {about}",
            claims,
            load,
            at_least=CLAIMS_AIM if silently and clients > 1 else None,
        )
        self._wait_for_the_end(after)

    def _wait_for_the_end(self, after: int) -> None:
        self.until_level()
        ends = dict(self.world.rows.all(ENDED_AS, [after]))
        if set(ends) - {"caller_left"}:
            say(f"  sessions ended: {ends}")

    def spread(self) -> None:
        """Make fewer calls than there are processes, one after the other, and count them by pod."""
        number = self.fleet.size * 2
        write_rooms(self.world.rows, number + 20, f"spread-{time.monotonic_ns()}")
        after = self.world.rows.number(NEWEST)
        self.fleet.claim(2, number)
        shares = sorted(row[0] for row in self.world.rows.all(SPREAD.replace("%(after)s", "%s"), [after]))
        words = f"{number} calls: the least {shares[0]}, the most {shares[-1]} (2 would be even)"
        self.report.add("spread", Line(f"calls of each of {len(shares)} pods", words), {"calls": shares})
        self._wait_for_the_end(after)

    def half_killed(self) -> None:
        before = self.fleet.size
        after = self.world.rows.number(NEWEST)
        write_rooms(self.world.rows, 120, f"killed-{time.monotonic_ns()}")
        began = time.monotonic()
        killed = self.fleet.kill_half()
        say(f"{killed} of {before} pods killed")
        claims = self.fleet.claim(4, 100)
        self.world.wait_for(
            "acknowledgements", lambda: not self.world.rows.all(UNACKNOWLEDGED, [after])[0][0], ENDED_S, step=0.05
        )
        acknowledged = time.monotonic() - began
        again = self.world.rows.all(HANDED_AGAIN, [after])[0][0]
        words = f"{sum(claims.kinds.values())} claims while they are dead but not missed: all acknowledged after"
        words += f" {acknowledged:.1f} s, {again} of them handed on from a dead pod ({claims.kinds})"
        self.report.add("killed_claims", Line(f"{killed} of {before} killed at once", words), {"kinds": claims.kinds})
        self.world.wait_for("the rows of the dead", lambda: self.world.rows.number(ALIVE) == self.fleet.size, ENDED_S)
        reaped = time.monotonic() - began
        self.report.add(
            "killed_reaped",
            Line(
                f"{killed} of {before} killed at once",
                f"all reaped after {reaped:.1f} s (the lease is {REAP_LEASE_S:.0f} s)",
            ),
            {"seconds": reaped},
        )
        self.until_level()
        level = time.monotonic() - began
        self.report.add(
            "killed_level",
            Line("the others", f"have their full stock, and every session is over, after {level:.1f} s"),
            {"seconds": level},
        )
        self.grow_to(before)

    # --- conditions ---------------------------------------------------------------------------------------

    def write_past(self, sessions: int) -> None:
        say(f"writing {sessions} ended sessions")
        url = self.world.environment["DATABASE_URL"]
        with self.world.api() as api:
            api.connect(api.push())
        self._wait_for_the_end(0)
        write_history(url, sessions, lambda done: self.world.pause(0))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Hold a snapshot open, like a forgotten transaction or a dump, so that no dead row can be vacuumed."""
        with psycopg.connect(self.world.environment["DATABASE_URL"]) as connection:
            connection.execute("SET idle_in_transaction_session_timeout = 0")
            connection.commit()
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT count(*) FROM pools_pod")
            yield
