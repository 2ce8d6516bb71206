"""The statements that take from the stock: the hot path of the claim, each prepared, each one round trip.

SQL, because one statement does what takes five through the ORM, and building those costs more than running them. Rows
are taken in the order process, room; SKIP LOCKED, so that nobody waits for anybody. A process of the pod with the most
free slots, so that calls spread over the pods, and the newest row of a kind, so that the claim never walks over the
dead index entries of those before it. While a roll-out stands, pods of the version that the call has drawn come first
(pools.shares); the others stand by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from common.postgresql.prepared import columns, from_row, prepared_cursor
from pools.models import HANDOFF_LEASE, AgentProcess, Room, StockStatus, VoiceSession

LEASE_S = HANDOFF_LEASE.total_seconds()

# ruff: noqa: S608 (texts are put together of constants; values go apart from them)

# The pods are put in order before the join, which then stops at the first row that it could lock: a row of every pod
# would be locked for nothing if they were put in order after it.
TAKE_PROCESS = """
UPDATE pools_agentprocess SET status = 'in_use', in_use_at = statement_timestamp() WHERE id = (
    SELECT newest.id FROM (
        SELECT id FROM pools_pod
        WHERE ended_at IS NULL AND NOT draining
        AND heartbeat_at > statement_timestamp() - make_interval(secs => %(lease)s)
        ORDER BY (%(draw)s BETWEEN draws_from AND draws_until) IS NOT TRUE,
        free_slots DESC, random() OFFSET 0
    ) AS pod CROSS JOIN LATERAL (
        SELECT id FROM pools_agentprocess
        WHERE pod_id = pod.id AND status = 'available'
        ORDER BY id DESC LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS newest LIMIT 1
) RETURNING id"""

_TAKE_ROOM = """
UPDATE pools_room AS room SET status = 'in_use', in_use_at = statement_timestamp() WHERE id = (
    SELECT id FROM pools_room
    WHERE status = 'available' AND expires_at > statement_timestamp() + %(life)s
    AND (NOT %(stored_tokens)s OR tokens_expire_at > statement_timestamp() + %(life)s){condition}
    ORDER BY id DESC LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING """ + columns(Room, "room")
TAKE_ROOM = _TAKE_ROOM.format(condition="")

# A room is taken only if there is a process, a session begins only with both.
TAKE_PAIR = f"""
WITH process AS ({TAKE_PROCESS}
), room AS ({_TAKE_ROOM.format(condition=" AND EXISTS (SELECT FROM process)")}
), session AS (
    INSERT INTO pools_voicesession (uuid, agent_process_id, room_id, status, start_kind, assigned_at,
        reference, request_key, body, outbound, before_claim_ms)
    SELECT %(uuid)s, process.id, room.id, 'assigned', 'warm', statement_timestamp(),
        %(reference)s::uuid, %(request_key)s::text, %(body)s, %(outbound)s, %(before_claim_ms)s::float8
    FROM process, room RETURNING id, created_at
)
SELECT process.id, session.id, session.created_at, {columns(Room, "room")}
FROM process LEFT JOIN room ON true LEFT JOIN session ON true"""

# A hot pair is a session already; whoever claims it, its times are those of the claim. Oldest first: its room and its
# token have the least life left. Of the drawn version only: a caller who finds none has a warm pair all the same.
TAKE_HOT = f"""
UPDATE pools_voicesession AS taken SET unclaimed = false, start_kind = 'hot', reference = %(reference)s::uuid,
    request_key = %(request_key)s::text, body = %(body)s, before_claim_ms = %(before_claim_ms)s::float8,
    created_at = now.at, assigned_at = now.at, handed_off_at = now.at, active_at = now.at, bot_joined_at = now.at
FROM (SELECT statement_timestamp() AS at) AS now
WHERE id = (
    SELECT session.id FROM pools_voicesession AS session
    JOIN pools_room AS room ON room.id = session.room_id
    JOIN pools_agentprocess AS process ON process.id = session.agent_process_id
    JOIN pools_pod AS pod ON pod.id = process.pod_id
    WHERE session.unclaimed AND session.status = 'active' AND session.bot_joined_at IS NOT NULL
    AND session.stop_reason = '' AND room.expires_at > statement_timestamp() + %(life)s
    AND (NOT %(stored_tokens)s OR room.tokens_expire_at > statement_timestamp() + %(life)s)
    AND pod.ended_at IS NULL AND NOT pod.draining
    AND pod.heartbeat_at > statement_timestamp() - make_interval(secs => %(lease)s)
    AND (%(any)s OR pod.draws_from IS NULL OR %(draw)s BETWEEN pod.draws_from AND pod.draws_until)
    ORDER BY session.id LIMIT 1 FOR UPDATE OF session SKIP LOCKED
) RETURNING {columns(VoiceSession, "taken")}"""


@dataclass(frozen=True)
class RoomMissing:
    """No room is in stock. The process has been taken: roll back, or put it back."""

    process: int


@dataclass(frozen=True)
class Pair:
    process: int
    room: Room
    session: int
    claimed_at: datetime


def take_pair(
    number: float, life: timedelta, session: Mapping[str, Any], *, stored_tokens: bool
) -> Pair | RoomMissing | None:
    """The whole warm claim. None: no process is in stock.

    `session`: uuid, reference, request_key, body, outbound, before_claim_ms.
    """
    body = Jsonb(session["body"])
    wanted = {"lease": LEASE_S, "draw": number, "life": life, "stored_tokens": stored_tokens}
    row = _row(TAKE_PAIR, {**session, **wanted, "body": body})
    if row is None:
        return None
    process, pk, claimed_at, *room = row
    return Pair(process, from_row(Room, room), pk, claimed_at) if pk else RoomMissing(process)


def take_process(number: float) -> int | None:
    row = _row(TAKE_PROCESS, {"lease": LEASE_S, "draw": number})
    return row[0] if row else None


def put_back(process: int) -> None:
    """It was taken in this transaction."""
    AgentProcess.objects.filter(pk=process).update(status=StockStatus.AVAILABLE, in_use_at=None)


def take_room(life: timedelta, *, stored_tokens: bool) -> Room | None:
    """The newest available room with so much life left, in use from now on."""
    row = _row(TAKE_ROOM, {"life": life, "stored_tokens": stored_tokens})
    return from_row(Room, row) if row else None


def take_hot(
    number: float, life: timedelta, session: Mapping[str, Any], *, stored_tokens: bool, of_any_version: bool
) -> VoiceSession | None:
    """A pair whose bot has joined; it is this caller's session from now on. `session` as for `take_pair`."""
    values = {key: session[key] for key in ("reference", "request_key", "before_claim_ms")}
    about = {"body": Jsonb(session["body"]), "lease": LEASE_S, "draw": number, "any": of_any_version}
    row = _row(TAKE_HOT, values | about | {"life": life, "stored_tokens": stored_tokens})
    return from_row(VoiceSession, row) if row else None


def _row(statement: str, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    with prepared_cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row
