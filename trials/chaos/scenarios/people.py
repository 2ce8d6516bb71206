"""Rows 15 and 16: callers who never join, who leave, who connect twice; a bot that cannot join."""

import time
from collections.abc import Iterator

from trials.chaos.findings import Finding, fact, times
from trials.chaos.fleet_world import FleetWorld

CALLER_JOIN_S = 60.0
NEXT_ROOM = "SELECT name FROM pools_room WHERE status = 'available' ORDER BY id DESC LIMIT 1"


def absent(world: FleetWorld) -> Iterator[Finding]:
    world.pods(1, CALLER_JOIN_TIMEOUT=f"{CALLER_JOIN_S:.0f}")
    line = world.line()
    nobody = world.connect(line)
    leaves = world.call(line)
    world.wait_until_full()
    began = time.time()
    world.hang_up(leaves)
    world.wait_until_over(leaves)
    session = world.session(leaves)
    yield times(15, "caller left to the end of the session", session.ended_after(began), 11.0, session.reason)
    world.daily.delete_room(world.tables.rows(NEXT_ROOM)[0][0])  # the bot will not get in
    shut_out = world.connect(line)
    world.wait_until_over(shut_out, 40)
    session, status = world.session(shut_out), line.lead_status(shut_out.lead)
    right = (session.reason, session.attempt, status) == ("not_started", 3, "BACKLOG")
    seconds = sum(session.ended_after(session.created))
    note = f"{session.reason} after {session.attempt} attempts and {seconds:.1f} s, {status}"
    yield fact(15, "a bot that cannot join: handed off thrice, not_started, lead in BACKLOG", right, note)
    world.wait_until_over(nobody, CALLER_JOIN_S + 10)
    session = world.session(nobody)
    yield times(15, "nobody came: to the end", session.ended_after(session.created), CALLER_JOIN_S + 2, session.reason)
    yield fact(15, "with its reason, lead FINISHED", session.reason == "caller_never_joined")
    line.close()


def retried(world: FleetWorld) -> Iterator[Finding]:
    world.pods(1)
    line = world.line()
    headers = {"Idempotency-Key": "one-and-the-same"}
    first = world.connect(line, **headers)
    world.pause(1.1)  # tokens are dated by the second
    again = line.connect(first.lead, **headers)
    same = (again.status, again.session, again.room) == (200, first.session, first.room)
    yield fact(16, "with its key a retry gets the same session and room", same)
    yield fact(16, "and a fresh token that lets the caller in", again.token != first.token)
    caller = world.daily.visit(again.room, again.token, None)
    without = line.connect(first.lead)
    yield fact(16, "without a key: 400", (without.status, caller is not None) == (400, True), without.detail)
    other = line.push()
    conflict = line.connect(other or "", **headers)
    yield fact(16, "with the key of another lead: 409", conflict.status == 409, conflict.detail)
    if caller:
        world.wait_until_in_room(first)
        world.daily.leave(first.room, caller)
    world.wait_until_over(first)
    line.close()
    world.wait_until_level()
