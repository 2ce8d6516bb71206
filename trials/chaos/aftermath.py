"""Reads from the rows after a storm how long re-handed sessions waited, and how soon lost pods were reaped."""

from collections.abc import Iterator, Sequence

from trials.chaos.accounts import GIVEN_BACK
from trials.chaos.callers import Answer
from trials.chaos.findings import Finding, fact, times
from trials.chaos.fleet_world import FleetWorld
from trials.chaos.storm import Storm
from trials.chaos.tables import Session

REAPED_S, REAPED_STARVED_S = 15.0, 60.0
# Whose bot had been told to go is handed on only when Daily's presence shows that it has not come: the lease for
# reaping, the time for joining, the age of presence and its interval.
TOLD_TO_GO_S = 60.0
TOLD_TO_GO = """
    SELECT uuid FROM pools_voicesession
     WHERE uuid = ANY(%s) AND failed_handoffs::text ~ 'before the bot joined|join_timeout|join_failed|bot_error'
"""
ENDED = """
    SELECT extract(epoch FROM ended_at)::float8, end_reason FROM pools_pod
     WHERE name = %s AND os_pid = %s AND ended_at IS NOT NULL ORDER BY id DESC LIMIT 1
"""
WORDS = {5: "killed", 12: "paused"}


def aftermath(world: FleetWorld, storm: Storm, answers: Sequence[Answer]) -> Iterator[Finding]:
    yield from _handed_on(world, answers)
    for row, word in WORDS.items():
        struck = [(name, pid, at) for kind, name, pid, at in storm.supervisors if kind == row]
        if struck:
            ends = [(world.tables.rows(ENDED, [name, pid]), at) for name, pid, at in struck]
            reaped = [rows[0][0] - at for rows, at in ends if rows]
            note = "" if len(reaped) == len(struck) else f"{len(struck) - len(reaped)} WERE NOT REAPED"
            yield times(
                row,
                f"supervisor {word} at a random moment to its rows reaped",
                reaped,
                REAPED_S,
                note,
                REAPED_STARVED_S,
            )
            yield fact(row, f"every {word} supervisor's incarnation has ended", len(reaped) == len(struck), note)


def _handed_on(world: FleetWorld, answers: Sequence[Answer]) -> Iterator[Finding]:
    """Return the seconds from the connect, which is some time before the fault."""
    asked = [answer.session for answer in answers if answer.session]
    told_to_go = {row[0] for row in world.tables.rows(TOLD_TO_GO, [asked])}
    sessions = [session for session in world.tables.sessions(asked).values() if session.reason != GIVEN_BACK]
    handed_on = [session for session in sessions if session.attempt > 1 and session.active]
    for attempts, limit in ((2, 5.0), (3, 10.0)):
        waits = [_wait(s) for s in handed_on if s.attempt == attempts and s.uuid not in told_to_go]
        if waits:
            yield times(0, f"sessions with {attempts} hand-offs: connect to acknowledged", waits, limit)
    if waits := [_wait(session) for session in handed_on if session.uuid in told_to_go]:
        what = "sessions whose first bot was told to go and never came: connect to acknowledged"
        yield times(0, what, waits, TOLD_TO_GO_S)


def _wait(session: Session) -> float:
    return (session.active or session.created) - session.created
