"""Row 10: rooms close to their expiry, and a clock that jumps, as the rows see it."""

from collections.abc import Iterator

from trials.chaos.findings import Finding, fact
from trials.chaos.fleet_world import FleetWorld

SESSION_S = 1800.0
SHORT_LIFE_S = 70  # of a room in the pool: retired when 60 s of it are left
SHIFT = "UPDATE pools_room SET expires_at = expires_at + interval '1 hour' * %s WHERE status = 'available'"


def near_the_end(world: FleetWorld) -> Iterator[Finding]:
    world.pods(2, DAILY_ROOM_POOL_LIFE=str(SHORT_LIFE_S))
    before = world.daily.rooms()
    first = len(world.answers)
    world.callers.arrive(2.0, (0.5, 1.0))
    world.wait_for("all first rooms replaced", lambda: not before & world.daily.rooms(), 90)
    yield fact(10, "rooms are retired and replaced before their time", True)
    world.tables.rows(SHIFT, [-1])  # as if the clock had jumped an hour ahead
    world.pause(8.0)
    world.tables.rows(SHIFT, [1])
    world.pause(3.0)
    world.callers.pause()
    answers = world.answers[first:]
    sessions = world.tables.sessions([answer.session for answer in answers if answer.session])
    shortest = min(session.room_life for session in sessions.values())
    note = f"{len(sessions)} sessions, the least {shortest:.0f} s, limit {SESSION_S:.0f} s"
    yield fact(10, "no room is handed out with less life than a session", shortest >= SESSION_S, note)
    tokens = all(world.session(answer).joined for answer in answers if answer.session)
    yield fact(10, "every bot got into its room with its token", tokens)
    world.wait_until_level(150)
