"""Why were starts not warm? The causes of the last day, by how often they were met in the last hour."""

from typing import Any

from django.db import connection
from django.urls import reverse
from django.utils.http import urlencode

from pools.sessions.misses import Cause

LATEST = 20_000  # a day on which nothing is warm must not be counted whole
MISSES = """
SELECT start_kind, agent_miss, room_miss,
count(*) FILTER (WHERE created_at > statement_timestamp() - interval '1 hour') AS hour,
count(*) AS day, extract(epoch FROM statement_timestamp() - max(created_at))::float8 AS last_s
FROM (
    SELECT start_kind, agent_miss, room_miss, created_at FROM pools_voicesession
    WHERE start_kind IN ('partial', 'cold') AND created_at > statement_timestamp() - interval '1 day'
    ORDER BY created_at DESC LIMIT %s
) AS missed GROUP BY start_kind, agent_miss, room_miss ORDER BY hour DESC, day DESC LIMIT 12"""

AGENT_WORDS = {
    Cause.SWITCHED_OFF: "process pool switched off: its target is 0",
    Cause.TROUBLE: "agent processes do not start",
    Cause.STARTING: "process pool not filled yet after a pod's start",
    Cause.CONTENDED: "each process in stock was being claimed by another start",
    Cause.POD_LEAVING: "processes only on pods that drain or are silent",
    Cause.PROCESS_LIMIT: "pods at their limit of processes",
    Cause.BURST: "agent processes taken faster than replaced",
}
ROOM_WORDS = {
    Cause.SWITCHED_OFF: "room pool switched off: its target is 0",
    Cause.TROUBLE: "Daily cannot be used",
    Cause.STARTING: "room pool not filled yet after a pod's start",
    Cause.CONTENDED: "each room in stock was being claimed by another start",
    Cause.TOO_OLD: "rooms had too little life left",
    Cause.DAILY_BUDGET: "Daily's budget of calls was used up",
    Cause.BURST: "rooms taken faster than made",
}


def causes() -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(MISSES, [LATEST])
        rows = cursor.fetchall()
    return [
        {
            "kind": kind,
            "words": in_words(agent_miss, room_miss),
            "hour": hour,
            "day": day,
            "last_s": last_s,
            "url": _sessions(kind, agent_miss, room_miss),
        }
        for kind, agent_miss, room_miss, hour, day, last_s in rows
    ]


def in_words(agent_miss: str, room_miss: str) -> str:
    """Unknown ones (from another version) are shown as they are."""
    known: list[tuple[dict[Cause, str], str]] = [(AGENT_WORDS, agent_miss), (ROOM_WORDS, room_miss)]
    words = [dict(table).get(Cause(miss), miss) if miss in set(Cause) else miss for table, miss in known if miss]
    return "; ".join(words) or "cause not recorded"


def _sessions(kind: str, agent_miss: str, room_miss: str) -> str:
    """The sessions that started so."""
    misses = {name: miss for name, miss in (("agent_miss", agent_miss), ("room_miss", room_miss)) if miss}
    query = {"start_kind__exact": kind, **misses}
    return f"{reverse('admin:pools_voicesession_changelist')}?{urlencode(query)}"
