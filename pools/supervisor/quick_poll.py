"""Proves that the pod lives and asks in the same prepared statement whether there is anything to do: a quick poll.

A full poll takes some twenty statements. In a small fleet every poll is a full one; in a large fleet the pods together
would keep the database busy with finding nothing. There a pod makes a full poll only every few seconds and quick polls
in between: if the counts of its rows are what it has in memory and no session waits, nothing is to do until the next.
"""

import random
from dataclasses import dataclass
from typing import Any

from common.postgresql.prepared import prepared_cursor
from pools.chores.fleet_chores import Chores
from pools.decisions import planner
from pools.models import Pod
from pools.processes.agent_pool import AgentPool
from pools.rooms.room_pool import RoomPool
from pools.supervisor.pod_targets import PodTargets

# Everything in here is found by an index, and nothing grows with the number of pods or of others' calls. Each part
# costs PostgreSQL more to set up than to run: so what any pod may see to (sessions that wait, the fleet's chores),
# rooms and overrides are left to NOTIFY and to the full polls. A heartbeat is not worth a disk flush, which would be
# most of its cost: one that a crash of the server loses is followed by the next.
QUICK_POLL = """
WITH beat AS (
    UPDATE pools_pod SET heartbeat_at = statement_timestamp(), free_slots = %(free_slots)s,
        start_method = %(start_method)s, agent_trouble = %(agent_trouble)s, can_do_chores = %(can_do_chores)s
    WHERE id = %(pod)s AND ended_at IS NULL RETURNING draining
), processes AS (
    SELECT count(*) AS current, count(*) FILTER (WHERE status = 'available') AS available,
        count(*) FILTER (WHERE retiring) AS retiring
    FROM pools_agentprocess WHERE pod_id = %(pod)s AND status <> 'ended'
)
SELECT beat.draining, processes.current, processes.available, processes.retiring, {own_calls},
    set_config('synchronous_commit', 'off', true)
FROM beat, processes"""
OWN_CALLS = """EXISTS (
        SELECT FROM pools_agentprocess AS process
        JOIN pools_voicesession AS session ON session.agent_process_id = process.id
        WHERE process.pod_id = %(pod)s AND process.status = 'in_use'
        AND (session.status = 'assigned' OR (session.status = 'active' AND session.stop_reason <> ''))
    )"""
STATEMENTS = {calls: QUICK_POLL.format(own_calls=OWN_CALLS if calls else "false") for calls in (False, True)}


@dataclass(frozen=True)
class RowCounts:
    """A pod's rows, counted. `sessions`: one is to be handed to a process of ours, or to be ended."""

    draining: bool
    processes: int
    processes_available: int
    processes_retiring: int
    sessions: bool


def quick_poll(
    pod: Pod, *, free_slots: int, start_method: str, agent_trouble: str, calls: bool, can_do_chores: bool = False
) -> RowCounts | None:
    """Send a heartbeat and count the pod's rows. `calls`: whether the pod has any; only then sessions are asked for.
    None: this incarnation has been reaped."""
    values: dict[str, Any] = {
        "pod": pod.pk,
        "free_slots": free_slots,
        "start_method": start_method,
        "agent_trouble": agent_trouble,
        "can_do_chores": can_do_chores,
    }
    with prepared_cursor() as cursor:
        cursor.execute(STATEMENTS[calls], values)
        row = cursor.fetchone()
    return RowCounts(*row[:-1]) if row else None


class QuickPolls:
    """Decides when a quick poll is enough, and compares its counts with memory."""

    def __init__(
        self, agents: AgentPool, rooms: RoomPool, targets: PodTargets, chores: Chores, poll_interval: float
    ) -> None:
        self._agents = agents
        self._rooms = rooms
        self._targets = targets
        self._chores = chores
        self._poll_interval = poll_interval
        self._full_poll_due = 0.0

    def full_poll_done(self, now: float) -> None:
        """Set the time of the next full poll."""
        pause = planner.full_poll_interval(self._chores.pods, poll_interval=self._poll_interval)
        self._full_poll_due = now + pause * random.uniform(0.75, 1.0)  # noqa: S311 (so that the pods do not poll at once)

    def will_do(self, now: float) -> bool:
        """Nothing is under way that only a full poll would continue, and the fleet's chores are not ours."""
        ours = self._agents.is_steady(now) and self._rooms.is_steady and self._targets.are_plain
        return now < self._full_poll_due and ours and not self._chores.are_ours

    def all_is_well(self, seen: RowCounts) -> bool:
        """The rows agree with what is in memory, and nobody waits for us."""
        mine = len(self._agents.agents), self._agents.available
        processes = (seen.processes, seen.processes_available) == mine and not seen.processes_retiring
        return processes and not (seen.draining or seen.sessions)
