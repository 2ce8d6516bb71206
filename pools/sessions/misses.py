"""Why a start was not warm: what the pools look like at that moment, and what that says.

The look is one statement more, and only for a start that has missed already; a warm start pays nothing. It takes in
what no row will tell afterwards (who was live, draining, in trouble; what was warming). `cause` is pure.
"""

from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Self

from django.db import connection

from pools.daily.budget import SLICES, Group, Priority, allowance
from pools.models import HANDOFF_LEASE

REPLENISHING_STOPS = allowance(Group.GENERAL, Priority.REPLENISH)


class Cause(StrEnum):
    """Why something was not in stock; the first that holds. Also the label of a metric: few, and stable."""

    SWITCHED_OFF = "switched_off"  # the target is 0
    TROUBLE = "trouble"  # processes do not start on some pod, or Daily cannot be used
    STARTING = "starting"  # no pod has had any yet
    CONTENDED = "contended"  # there were some, each being claimed by somebody else
    POD_LEAVING = "pod_leaving"  # there were some, on pods that drain or are silent
    PROCESS_LIMIT = "process_limit"  # nothing warms, because pods have as many processes as they may
    TOO_OLD = "too_old"  # there were some, with too little life left
    DAILY_BUDGET = "daily_budget"  # nothing is made, because Daily's rate limit is as good as used up
    BURST = "burst"  # taken faster than replaced


@dataclass(frozen=True)
class Circumstances:
    """What the pools looked like. Pods: those that take sessions; numbers are of all of them together."""

    pods: int = 0
    pods_draining: int = 0
    pods_silent: int = 0
    pods_in_trouble: int = 0
    agent_trouble: str = ""
    free_slots: int = 0
    agent_target: int = 0
    agents_warming: int = 0
    agents_available: int = 0  # visible to us, but locked by other claims
    agents_elsewhere: int = 0  # available on pods that take no sessions
    pods_never_ready: int = 0  # no process of theirs has been available yet
    room_target: int = 0
    rooms_warming: int = 0
    rooms_available: int = 0
    rooms_lasting: int = 0  # of these, with enough life left
    rooms_never: bool = False  # no room has been available since the oldest of the pods started
    daily_trouble: str = ""
    daily_calls: int = 0  # spent of the general budget in its window
    agent_target_why: str = ""  # of a pod whose target is 0
    room_target_why: str = ""

    @classmethod
    def read(cls, kept: dict[str, Any]) -> Self:
        """From what was kept with a session, perhaps by an older version."""
        return cls(**{name: value for name, value in kept.items() if name in cls.__dataclass_fields__})

    def kept(self) -> dict[str, Any]:
        """What is worth keeping: what is not zero."""
        return {name: value for name, value in asdict(self).items() if value}

    def about_rooms(self) -> dict[str, Any]:
        """Of what is kept, what concerns rooms."""
        return {name: value for name, value in self.kept().items() if name.startswith(("room", "daily"))}


LOOK = """
WITH pod AS MATERIALIZED (
    SELECT *, heartbeat_at > statement_timestamp() - make_interval(secs => %(lease)s) AS live
    FROM pools_pod WHERE ended_at IS NULL
), taking AS (SELECT * FROM pod WHERE live AND NOT draining),
agent AS (
    SELECT agent.status, taking.id IS NOT NULL AS reachable
    FROM pools_agentprocess AS agent LEFT JOIN taking ON taking.id = agent.pod_id
    WHERE agent.status IN ('warming', 'available') AND NOT agent.on_demand
), room AS (
    SELECT status, expires_at > statement_timestamp() + %(life)s
        AND (NOT %(stored_tokens)s OR coalesce(tokens_expire_at > statement_timestamp() + %(life)s, false)) AS lasting
    FROM pools_room WHERE status IN ('warming', 'available') AND NOT reserved
)
SELECT
    (SELECT count(*) FROM taking),
    (SELECT count(*) FROM pod WHERE live AND draining),
    (SELECT count(*) FROM pod WHERE NOT live),
    (SELECT count(*) FROM taking WHERE agent_trouble <> ''),
    coalesce((SELECT left(min(agent_trouble), 300) FROM taking WHERE agent_trouble <> ''), ''),
    coalesce((SELECT sum(free_slots) FROM taking), 0)::int,
    coalesce((SELECT sum(agent_target) FROM taking), 0)::int,
    (SELECT count(*) FROM agent WHERE status = 'warming' AND reachable),
    (SELECT count(*) FROM agent WHERE status = 'available' AND reachable),
    (SELECT count(*) FROM agent WHERE status = 'available' AND NOT reachable),
    (SELECT count(*) FROM taking WHERE NOT EXISTS (
        SELECT FROM pools_agentprocess AS ever WHERE ever.pod_id = taking.id AND ever.available_at IS NOT NULL)),
    coalesce((SELECT sum(room_target) FROM taking), 0)::int,
    (SELECT count(*) FROM room WHERE status = 'warming'),
    (SELECT count(*) FROM room WHERE status = 'available'),
    (SELECT count(*) FROM room WHERE status = 'available' AND lasting),
    NOT EXISTS (
        SELECT FROM taking JOIN pools_room AS ever ON ever.pod_id = taking.id WHERE ever.available_at IS NOT NULL),
    coalesce((SELECT left(trouble, 300) FROM pools_dailyaccount WHERE id = 1), ''),
    coalesce((SELECT sum(used) FROM pools_dailybudgetslot WHERE "group" = 'general'
        AND slot >= floor(extract(epoch FROM statement_timestamp()) / %(slice)s) - %(slices)s), 0)::int,
    coalesce((SELECT min(agent_target_why) FROM taking WHERE agent_target = 0), ''),
    coalesce((SELECT min(room_target_why) FROM taking WHERE room_target = 0), '')"""


def look(life: timedelta, stored_tokens: bool) -> Circumstances:
    """As a claim for a session of at most `life` sees them now."""
    parameters: dict[str, Any] = {
        "lease": HANDOFF_LEASE.total_seconds(),
        "life": life,
        "stored_tokens": stored_tokens,
        "slice": Group.GENERAL.value.window / SLICES,
        "slices": SLICES,
    }
    with connection.cursor() as cursor:
        cursor.execute(LOOK, parameters)
        return Circumstances(*cursor.fetchone())


def agent_cause(seen: Circumstances) -> Cause:
    """Why there was no agent process."""
    if seen.agent_target == 0:
        return Cause.SWITCHED_OFF
    if seen.agents_available:
        return Cause.CONTENDED
    if seen.pods_in_trouble:
        return Cause.TROUBLE
    if seen.agents_elsewhere:
        return Cause.POD_LEAVING
    if seen.pods_never_ready == seen.pods:
        return Cause.STARTING
    if seen.free_slots == 0 and seen.agents_warming == 0:
        return Cause.PROCESS_LIMIT
    return Cause.BURST


def room_cause(seen: Circumstances) -> Cause:
    """Why there was no room."""
    if seen.room_target == 0:
        return Cause.SWITCHED_OFF
    if seen.rooms_lasting:
        return Cause.CONTENDED
    if seen.daily_trouble:
        return Cause.TROUBLE
    if seen.rooms_available:
        return Cause.TOO_OLD
    if seen.daily_calls >= REPLENISHING_STOPS:
        return Cause.DAILY_BUDGET
    if seen.rooms_never:
        return Cause.STARTING
    return Cause.BURST
