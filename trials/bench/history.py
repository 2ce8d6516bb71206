"""Fills the database with history: copies one ended call, with its room, process and lead, a million times.

Copied as whole rows, whatever columns there are; only what has to be another in each copy is: ids, names, times.
"""

from collections.abc import Callable

import psycopg
from psycopg import sql

BATCH = 50_000
AGED = "40 days"  # beyond RETENTION_DAYS

# A copy `n` of row `r` of a table: what differs, as a JSON object of columns.
ROOM = "'id', {room} + n, 'uuid', gen_random_uuid(), 'name', 'bb-past-' || n, 'pod_id', NULL, 'deleted_at', {then}"
PROCESS = "'id', {process} + n, 'uuid', gen_random_uuid()"
SESSION = """
    'id', {session} + n, 'uuid', gen_random_uuid(), 'room_id', {room} + n, 'agent_process_id', {process} + n,
    'request_key', NULL, 'reference', gen_random_uuid()
"""
LEAD = "'id', {lead} + n, 'uuid', gen_random_uuid(), 'request_id', 'past-' || n, 'voice_session_id', {session} + n"
ENDED = "'ended_at', {then}"
TABLES = {
    "pools_room": f"{ROOM}, {ENDED}",
    "pools_agentprocess": f"{PROCESS}, {ENDED}",
    "pools_voicesession": f"{SESSION}, {ENDED}",
    "leads_lead": LEAD,
}
ENDED_CALL = """
    SELECT s.room_id, s.agent_process_id, s.id, l.id FROM pools_voicesession s JOIN leads_lead l
        ON l.voice_session_id = s.id WHERE s.status = 'ended' ORDER BY s.id DESC LIMIT 1
"""


def write_history(url: str, sessions: int, done: Callable[[int], None]) -> None:
    """Write the copies, with ids below those of all later rows. Raises psycopg.Error."""
    with psycopg.connect(url, autocommit=True) as connection:
        originals = connection.execute(ENDED_CALL).fetchone()
        if originals is None:
            raise psycopg.DataError("no ended call to copy")
        names = dict(zip(("room", "process", "session", "lead"), TABLES, strict=True))
        connection.execute("SET session_replication_role = replica")  # every reference is right: none is looked up
        bases = {name: _reserve(connection, table, sessions) for name, table in names.items()}
        for first in range(1, sessions + 1, BATCH):
            last = min(first + BATCH - 1, sessions)
            for (table, changed), original in zip(TABLES.items(), originals, strict=True):
                _copy(connection, table, changed, original, bases, first, last)
            done(last)
        for table in TABLES:
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
        connection.execute("CHECKPOINT")  # a gigabyte is written out now, not beside what is measured next


def _reserve(connection: psycopg.Connection[tuple[object, ...]], table: str, number: int) -> int:
    """Reserve ids that no new row gets, and return the last id before them."""
    sequence = connection.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table]).fetchone()
    if sequence is None:
        raise psycopg.DataError(f"{table} has no sequence")
    query = "SELECT setval(%s, nextval(%s) + %s) - %s"
    row = connection.execute(query, [sequence[0], sequence[0], number, number]).fetchone()
    return int(str(row[0])) if row else 0


def _copy(
    connection: psycopg.Connection[tuple[object, ...]],
    table: str,
    changed: str,
    original: object,
    bases: dict[str, int],
    first: int,
    last: int,
) -> None:
    values: dict[str, sql.Composable] = {name: sql.Literal(base) for name, base in bases.items()}
    values["then"] = sql.SQL("now() - {}::interval").format(sql.Literal(AGED))
    query = sql.SQL(
        "INSERT INTO {table} SELECT copy.* FROM {table} r, generate_series({first}, {last}) n,"
        " LATERAL jsonb_populate_record(r, jsonb_build_object({changed})) copy WHERE r.id = {original}"
    ).format(
        table=sql.Identifier(table),
        first=sql.Literal(first),
        last=sql.Literal(last),
        changed=sql.SQL(changed).format(**values),
        original=sql.Literal(original),
    )
    connection.execute(query)
