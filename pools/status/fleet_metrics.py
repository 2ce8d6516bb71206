"""Metrics of the whole fleet, read from the rows in two statements: the same numbers as status and admin show.

Both statements read current rows through partial indexes, so that ended sessions cost nothing; the past is read from
the counters. "Ended + current" comes from one statement, that is from one snapshot: a start is never missing and never
counted twice, even if its session ends meanwhile.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.db import connection
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pools.daily.budget import SLICES, Group
from pools.models import HANDOFF_LEASE, StartKind
from pools.sessions.counters import Event
from pools.sessions.end_reasons import END_REASONS
from pools.sessions.misses import Cause
from pools.status.state import OLDEST_TRANSACTION

NOW = f"""
WITH pod AS MATERIALIZED (
    SELECT *, heartbeat_at > statement_timestamp() - make_interval(secs => %(lease)s) AS live
    FROM pools_pod WHERE ended_at IS NULL
), taking AS (SELECT * FROM pod WHERE live AND NOT draining),
agent AS (
    SELECT agent.status, pod.live, pod.live AND NOT pod.draining AS taking, count(*) AS n
    FROM pools_agentprocess AS agent JOIN pod ON pod.id = agent.pod_id
    WHERE agent.status <> 'ended' GROUP BY 1, 2, 3
), account AS (
    SELECT coalesce(bool_or(self_signed_tokens), false) AS signs, coalesce(bool_and(trouble = ''), false) AS works
    FROM pools_dailyaccount WHERE id = 1
), room AS (
    SELECT room.status, room.reserved, coalesce(pod.live, false) AS live, count(*) AS n,
        count(*) FILTER (WHERE room.expires_at > statement_timestamp() + make_interval(secs => %(life)s) AND (
            (SELECT signs FROM account)
            OR room.tokens_expire_at > statement_timestamp() + make_interval(secs => %(life)s))) AS lasting
    FROM pools_room AS room LEFT JOIN pod ON pod.id = room.pod_id WHERE room.status <> 'ended' GROUP BY 1, 2, 3
), session AS (
    SELECT status, count(*) AS n,
        count(*) FILTER (WHERE bot_joined_at IS NOT NULL
            OR active_at < statement_timestamp() - make_interval(secs => %(join_timeout)s)) AS in_call,
        extract(epoch FROM statement_timestamp() - min(created_at)) AS oldest
    FROM pools_voicesession WHERE status <> 'ended' AND NOT unclaimed GROUP BY 1
), prejoined AS (
    SELECT count(*) AS n, count(*) FILTER (WHERE session.bot_joined_at IS NULL) AS warming,
        count(*) FILTER (WHERE taking.id IS NOT NULL) AS kept,
        count(*) FILTER (WHERE session.bot_joined_at IS NOT NULL AND taking.id IS NOT NULL) AS available
    FROM pools_voicesession AS session JOIN pools_agentprocess AS agent ON agent.id = session.agent_process_id
    LEFT JOIN taking ON taking.id = agent.pod_id WHERE session.unclaimed
), budget AS (
    SELECT limits.name, limits.calls - coalesce(sum(slot.used), 0) AS left
    FROM unnest(%(groups)s::text[], %(calls)s::int[], %(slices)s::float8[]) AS limits (name, calls, length)
    LEFT JOIN pools_dailybudgetslot AS slot ON slot."group" = limits.name
        AND slot.slot >= floor(extract(epoch FROM statement_timestamp()) / limits.length) - %(kept)s
    GROUP BY limits.name, limits.calls
)
SELECT name, label, coalesce(value, 0)::float8 FROM (
    SELECT 'agents_target' AS name, '' AS label, sum(agent_target)::float8 + (SELECT kept FROM prejoined) AS value
        FROM taking
    UNION ALL SELECT 'agents_cap', '', sum(agent_cap) + (SELECT kept FROM prejoined) FROM taking
    UNION ALL SELECT 'agents_available', '', coalesce(sum(n), 0) + (SELECT available FROM prejoined)
        FROM agent WHERE status = 'available' AND taking
    UNION ALL SELECT 'agents_warming', '', coalesce(sum(n), 0) + (SELECT warming FROM prejoined)
        FROM agent WHERE status = 'warming' AND live
    UNION ALL SELECT 'agents_in_use', '', sum(n) - (SELECT n FROM prejoined) FROM agent WHERE status = 'in_use'
    UNION ALL SELECT 'rooms_target', '', sum(room_target) + (SELECT kept FROM prejoined) FROM taking
    UNION ALL SELECT 'rooms_cap', '', sum(room_cap) + (SELECT kept FROM prejoined) FROM taking
    UNION ALL SELECT 'rooms_available', '', coalesce(sum(lasting), 0) + (SELECT available FROM prejoined)
        FROM room WHERE status = 'available'
    UNION ALL SELECT 'rooms_warming', '', coalesce(sum(n), 0) + (SELECT warming FROM prejoined)
        FROM room WHERE status = 'warming' AND live AND NOT reserved
    UNION ALL SELECT 'rooms_in_use', '', sum(n) - (SELECT n FROM prejoined) FROM room WHERE status = 'in_use'
    UNION ALL SELECT 'rooms_to_delete', '', count(*) FROM pools_room WHERE status = 'ended' AND deleted_at IS NULL
    UNION ALL SELECT 'free_slots', '', sum(free_slots) FROM taking
    UNION ALL SELECT 'pods', 'taking', count(*) FROM taking
    UNION ALL SELECT 'pods', 'draining', count(*) FROM pod WHERE live AND draining
    UNION ALL SELECT 'pods', 'silent', count(*) FROM pod WHERE NOT live
    UNION ALL SELECT 'pods_in_trouble', '', count(*) FROM pod WHERE live AND agent_trouble <> ''
    UNION ALL SELECT 'sessions', status, sum(n) FROM session GROUP BY status
    UNION ALL SELECT 'active_calls', '', sum(in_call) FROM session WHERE status = 'active'
    UNION ALL SELECT 'oldest_waiting', '', max(oldest) FROM session WHERE status = 'waiting'
    UNION ALL SELECT 'daily_works', '', works::int FROM account
    UNION ALL SELECT 'budget', name, "left" FROM budget
    UNION ALL SELECT 'oldest_transaction', '', age FROM ({OLDEST_TRANSACTION}) AS oldest (age)
) AS numbers"""  # noqa: S608 (the other statement is ours too)

HISTORY = """
WITH history AS (
    SELECT start_kind, agent_miss, room_miss, sessions AS n, handed_off_again AS again FROM pools_sessioncounter
    UNION ALL
    SELECT start_kind, agent_miss, room_miss, 1, attempt - 1 FROM pools_voicesession
    WHERE status <> 'ended' AND NOT unclaimed
)
SELECT name, label, value::float8 FROM (
    SELECT 'starts' AS name, start_kind AS label, sum(n) AS value FROM history GROUP BY start_kind
    UNION ALL SELECT 'agent_misses', agent_miss, sum(n) FROM history WHERE agent_miss <> '' GROUP BY agent_miss
    UNION ALL SELECT 'room_misses', room_miss, sum(n) FROM history WHERE room_miss <> '' GROUP BY room_miss
    UNION ALL SELECT 'handed_off_again', '', coalesce(sum(again), 0) FROM history
    UNION ALL SELECT 'ended', end_reason, sum(sessions) FROM pools_sessioncounter GROUP BY end_reason
    UNION ALL SELECT 'silent', 'never_spoke', coalesce(sum(never_spoke), 0) FROM pools_sessioncounter
    UNION ALL SELECT 'silent', 'never_heard', coalesce(sum(never_heard), 0) FROM pools_sessioncounter
    UNION ALL SELECT 'event', event, number FROM pools_eventcounter
) AS numbers"""

Numbers = dict[tuple[str, str], float]


def read() -> Numbers:
    """Read the numbers, by name and label. Raises django.db.Error."""
    with connection.cursor() as cursor:
        numbers: Numbers = {}
        for statement, parameters in statements():
            cursor.execute(statement, parameters)
            numbers |= {(name, label): value for name, label, value in cursor.fetchall()}
    return numbers


def statements() -> list[tuple[str, dict[str, Any]]]:
    """The two statements with their parameters."""
    limits = [group.value for group in Group]
    parameters = {
        "lease": HANDOFF_LEASE.total_seconds(),
        "life": settings.MAX_DAILY_SESSION_LIMIT,
        "join_timeout": settings.BOT_JOIN_TIMEOUT,
        "groups": [limit.name for limit in limits],
        "calls": [limit.calls for limit in limits],
        "slices": [limit.window / SLICES for limit in limits],
        "kept": SLICES,
    }
    return [(NOW, parameters), (HISTORY, {})]


def metrics(numbers: Numbers) -> Iterator[Metric]:
    """The numbers as metrics. A label that has not occurred yet is 0, so that its first occurrence is an increase."""

    def one(name: str) -> float:
        return numbers.get((name, ""), 0.0)

    def by(name: str, labels: Iterable[str]) -> list[tuple[list[str], float]]:
        return [([label], numbers.get((name, label), 0.0)) for label in labels]

    yield _gauge("breeze_buddy_active_calls", "Calls with our bot in the room.", one("active_calls"))
    for pool, what, name in (
        ("agents", "agent processes", "breeze_buddy_voice_agent_pool"),
        ("rooms", "rooms", "breeze_buddy_daily_room_pool"),
    ):
        yield _gauge(f"{name}_available", f"Warm {what} that a claim could get now.", one(f"{pool}_available"))
        yield _gauge(f"{name}_warming", f"Warm {what} being made.", one(f"{pool}_warming"))
        yield _gauge(f"{name}_in_use", f"The {what} of sessions.", one(f"{pool}_in_use"))
        yield _gauge(f"{name}_target", f"Warm {what} that the pods that take sessions keep.", one(f"{pool}_target"))
        yield _gauge(f"{name}_cap", f"Warm {what} that these pods never exceed.", one(f"{pool}_cap"))
    yield _gauge(
        "breeze_buddy_rooms_to_delete",
        "Rooms that have ended and are not deleted at Daily yet.",
        one("rooms_to_delete"),
    )
    yield _gauge("breeze_buddy_free_process_slots", "Agent processes that pods can still start.", one("free_slots"))
    yield _gauges("breeze_buddy_pods", "Pods.", "state", by("pods", ("taking", "draining", "silent")))
    yield _gauge("breeze_buddy_pods_in_trouble", "Live pods on which agents do not start.", one("pods_in_trouble"))
    current = by("sessions", ("waiting", "assigned", "active"))
    yield _gauges("breeze_buddy_sessions", "Sessions that have not ended.", "status", current)
    yield _gauge("breeze_buddy_oldest_waiting_seconds", "Age of the oldest waiting session.", one("oldest_waiting"))
    yield _gauge("breeze_buddy_daily_up", "1 if Daily can be used, as far as the pods know.", one("daily_works"))
    left = by("budget", (group.value.name for group in Group))
    yield _gauges("breeze_buddy_daily_budget_left", "Calls that may still be made in the window.", "group", left)
    oldest = one("oldest_transaction")
    yield _gauge(
        "breeze_buddy_oldest_transaction_seconds", "Age of the database's oldest transaction; NaN: unknown.", oldest
    )

    yield _counter("breeze_buddy_starts", "Sessions started.", ["kind"], by("starts", StartKind.values))
    yield _counter(
        "breeze_buddy_misses",
        "Starts that found no ready item.",
        ["pool", "cause"],
        [(["agents", *cause], value) for cause, value in by("agent_misses", Cause)]
        + [(["rooms", *cause], value) for cause, value in by("room_misses", Cause)],
    )
    yield _counter(
        "breeze_buddy_handoffs_again", "Hand-offs beyond a session's first.", [], [([], one("handed_off_again"))]
    )
    others = sum(n for (name, label), n in numbers.items() if name == "ended" and label not in END_REASONS)
    ended = [*by("ended", END_REASONS), (["other"], others)]
    yield _counter("breeze_buddy_sessions_ended", "Sessions ended.", ["reason"], ended)
    yield _counter(
        "breeze_buddy_sessions_silent",
        "Sessions whose caller was there and heard nothing of the bot (never_spoke), or the other way round.",
        ["what"],
        by("silent", ("never_spoke", "never_heard")),
    )
    for name, about, prefix in (
        ("breeze_buddy_reaped", "Items that had lost their owner and were ended.", "reaped_"),
        ("breeze_buddy_leaks_found", "Rooms that Daily had and the database did not, or the other way round.", "leak_"),
    ):
        events = by("event", (event for event in Event if event.startswith(prefix)))
        yield _counter(name, about, ["what"], [([event.removeprefix(prefix)], value) for [event], value in events])


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


def _gauges(name: str, about: str, label: str, values: list[tuple[list[str], float]]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=[label])
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _counter(name: str, about: str, labels: list[str], values: list[tuple[list[str], float]]) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for of_labels, value in values:
        family.add_metric(of_labels, value)
    return family
