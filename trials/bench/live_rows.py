"""Writes rows of a busy service: pods, warm pools, calls. No process belongs to them; their heartbeats last a day."""

from collections.abc import Iterator
from contextlib import contextmanager

from trials.rows import Rows

PODS = 20
CALLS = 3000  # each with a room and a process: 9,000 live rows, 1,000 more are stock
STOCK = 500

LIVE_PODS = """
INSERT INTO pools_pod (uuid, name, host, os_pid, version, heartbeat_at, draining, end_reason, agent_target, agent_cap,
    room_target, room_cap, max_processes, free_slots, start_method, agent_trouble)
SELECT gen_random_uuid(), 'live-' || n, 'host', n, '', now() + interval '1 day', false, '', 25, 25, 25, 25, 1000, 500,
    'zygote', '' FROM generate_series(1, %(pods)s) AS n"""

LIVE_CALLS = """
WITH numbers AS (SELECT n FROM generate_series(1, %(calls)s) AS n),
room AS (
    INSERT INTO pools_room (uuid, name, url, status, reserved, expires_at, available_at, in_use_at, end_reason,
        owner_token, guest_token)
    SELECT gen_random_uuid(), 'live-' || n, 'https://test.daily.co/' || n, 'in_use', false,
        now() + interval '2 hours', now(), now(), '', '', '' FROM numbers RETURNING id
), agent AS (
    INSERT INTO pools_agentprocess (uuid, pod_id, status, on_demand, os_pid, start_method, version, available_at,
        in_use_at, end_reason)
    SELECT gen_random_uuid(), (SELECT max(id) FROM pools_pod) - n %% %(pods)s, 'in_use', false, 1, 'zygote', '', now(),
        now(), '' FROM numbers RETURNING id
), pair AS (
    SELECT room.id AS room, agent.id AS agent FROM (SELECT id, row_number() OVER () AS n FROM room) AS room
    JOIN (SELECT id, row_number() OVER () AS n FROM agent) AS agent USING (n)
)
INSERT INTO pools_voicesession (uuid, room_id, agent_process_id, status, start_kind, start_reason, attempt, body,
    stop_reason, assigned_at, active_at, bot_joined_at, end_reason, outcome, transcript, detail)
SELECT gen_random_uuid(), room, agent, 'active', 'warm', '', 1, '{}', '', now(), now(), now(), '', '', '[]', '{}'
FROM pair"""

LIVE_STOCK = """
WITH room AS (
    INSERT INTO pools_room (uuid, name, url, status, reserved, expires_at, available_at, end_reason, owner_token,
        guest_token)
    SELECT gen_random_uuid(), 'live-stock-' || n, 'https://test.daily.co/' || n, 'available', false,
        now() + interval '2 hours', now(), '', '', '' FROM generate_series(1, %(stock)s) AS n
)
INSERT INTO pools_agentprocess (uuid, pod_id, status, on_demand, os_pid, start_method, version, available_at,
    end_reason)
SELECT gen_random_uuid(), (SELECT max(id) FROM pools_pod) - n %% %(pods)s, 'available', false, 1, 'zygote', '', now(),
    '' FROM generate_series(1, %(stock)s) AS n"""


REMOVE = (
    "DELETE FROM pools_voicesession AS session USING pools_agentprocess AS process, pools_pod AS pod"
    " WHERE session.agent_process_id = process.id AND process.pod_id = pod.id AND pod.name LIKE 'live-%%'",
    "DELETE FROM pools_agentprocess AS process USING pools_pod AS pod"
    " WHERE process.pod_id = pod.id AND pod.name LIKE 'live-%%'",
    "DELETE FROM pools_room WHERE name LIKE 'live-%%'",
    "DELETE FROM pools_pod WHERE name LIKE 'live-%%'",
)


@contextmanager
def live_rows(rows: Rows, *, pods: int = PODS, calls: int = CALLS, stock: int = STOCK) -> Iterator[None]:
    """Write 10,000 rows and vacuum. Removes them after the block: with them no pod would replenish."""
    numbers: dict[str, object] = {"pods": pods, "calls": calls, "stock": stock}
    try:
        for statement in (LIVE_PODS, LIVE_CALLS, LIVE_STOCK):
            rows.execute(statement, numbers)
        for table in ("pools_voicesession", "pools_room", "pools_agentprocess"):
            rows.execute(f"VACUUM ANALYZE {table}", {})
        yield
    finally:
        for statement in REMOVE:
            rows.execute(statement, {})
