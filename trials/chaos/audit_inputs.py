"""Read the three lists that the audit compares, from a world that is quiet or nearly so."""

from trials.chaos import audit, processes
from trials.chaos.daily import Daily
from trials.chaos.fleet import Fleet
from trials.chaos.tables import Tables

SESSIONS = """
    SELECT s.uuid::text, r.name FROM pools_voicesession s JOIN pools_room r ON r.id = s.room_id
     WHERE s.status = 'active'
"""
ROOMS = "SELECT name FROM pools_room WHERE status IN ('available', 'in_use')"
FADING = "SELECT name FROM pools_room WHERE status = 'warming' OR (status = 'ended' AND deleted_at IS NULL)"
PIDS = "SELECT os_pid FROM pools_agentprocess WHERE status <> 'ended' AND os_pid IS NOT NULL"
STUCK = """
    SELECT count(*) FROM leads_lead l LEFT JOIN pools_voicesession s ON s.id = l.voice_session_id
     WHERE l.status = 'PROCESSING' AND (s.id IS NULL OR s.status = 'ended')
"""


def audited(tables: Tables, daily: Daily, fleet: Fleet) -> audit.Audit:
    people = daily.people()
    at_daily = audit.AtDaily(
        rooms=daily.rooms(),
        bots={room: [str(p["user_id"]) for p in there if p["owner"]] for room, there in people.items()},
        callers={room for room, there in people.items() if not all(p["owner"] for p in there)},
    )
    database = audit.Database(
        sessions=dict(tables.rows(SESSIONS)),
        rooms=_names(tables, ROOMS),
        fading=_names(tables, FADING),
        pids={row[0] for row in tables.rows(PIDS)},
        stuck_leads=tables.number(STUCK),
    )
    zygotes = {pod.zygotes()[-1] for pod in fleet.running() if pod.zygotes()}
    return audit.compare(database, at_daily, processes.agents(zygotes))


def _names(tables: Tables, query: str) -> set[str]:
    return {row[0] for row in tables.rows(query)}
