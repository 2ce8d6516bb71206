"""Metrics of the versions of the bot that live pods run, read from rows and counters in one statement.

Only versions that run are shown, and at most MOST, so that the label stays bounded. The counters of a version that
comes back go on where they were.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import connection
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pools.models import HANDOFF_LEASE, StartKind

MOST = 10
NUMBERS = """
WITH live AS (
    SELECT version, count(*) AS pods, min(draws_until - draws_from) AS share, array_agg(id) AS ids
    FROM pools_pod
    WHERE ended_at IS NULL AND heartbeat_at > statement_timestamp() - make_interval(secs => %(lease)s)
    GROUP BY version ORDER BY count(*) DESC, version DESC LIMIT %(most)s
)
SELECT live.version, live.pods, live.share,
    (SELECT count(*) FROM pools_agentprocess WHERE pod_id = ANY(live.ids) AND (status = 'available' OR id IN (
        SELECT agent_process_id FROM pools_voicesession WHERE unclaimed AND bot_joined_at IS NOT NULL))),
    counter.start_kind, coalesce(sum(counter.sessions), 0)::float8, coalesce(sum(counter.failed), 0)::float8,
    coalesce(sum(counter.failed_handoffs), 0)::float8, coalesce(sum(counter.joined), 0)::float8,
    coalesce(sum(counter.joined_s), 0)::float8, coalesce(sum(counter.spoke), 0)::float8,
    coalesce(sum(counter.spoke_s), 0)::float8
FROM live LEFT JOIN pools_versioncounter AS counter USING (version)
GROUP BY live.version, live.pods, live.share, live.ids, counter.start_kind"""
SUMS = (
    ("breeze_buddy_version_failed", "Sessions of the version that ended by a fault of ours."),
    ("breeze_buddy_version_failed_handoffs", "Attempts with processes of the version that went elsewhere afterwards."),
    ("breeze_buddy_version_bots_joined", "Bots of the version that came into their rooms."),
    ("breeze_buddy_version_bot_joined_seconds", "From the request until they did, all together."),
    ("breeze_buddy_version_first_audios", "Bots of the version that said something."),
    ("breeze_buddy_version_first_audio_seconds", "From the caller's coming until they did, all together."),
)


@dataclass(frozen=True)
class Row:
    """Figures of one version and one kind of start. The kind is None if none of its sessions has ended yet."""

    version: str
    pods: int
    share: float | None
    available: int
    kind: str | None
    sessions: float
    sums: tuple[float, ...]  # as in SUMS


def read() -> list[Row]:
    """Raises django.db.Error."""
    with connection.cursor() as cursor:
        cursor.execute(*statement())
        return [
            Row(version or "none", pods, share, available, kind, sessions, tuple(sums))
            for version, pods, share, available, kind, sessions, *sums in cursor.fetchall()
        ]


def statement() -> tuple[str, dict[str, float]]:
    return NUMBERS, {"lease": HANDOFF_LEASE.total_seconds(), "most": MOST}


def metrics(rows: Sequence[Row]) -> Iterator[Metric]:
    pods = GaugeMetricFamily("breeze_buddy_version_pods", "Live pods of the version of the bot.", labels=["version"])
    available = GaugeMetricFamily(
        "breeze_buddy_version_available", "Agent processes of the version in stock.", labels=["version"]
    )
    share = GaugeMetricFamily(
        "breeze_buddy_version_wanted_ratio",
        "Of the calls, what a roll-out wants the version to have (0..1); of what versions share: all of it.",
        labels=["version"],
    )
    ended = CounterMetricFamily(
        "breeze_buddy_version_sessions_ended", "Ended sessions of the version.", labels=["version", "kind"]
    )
    sums = [CounterMetricFamily(name, about, labels=["version"]) for name, about in SUMS]
    for version in sorted({row.version for row in rows}):
        own = [row for row in rows if row.version == version]
        pods.add_metric([version], own[0].pods)
        available.add_metric([version], own[0].available)
        if own[0].share is not None:
            share.add_metric([version], own[0].share)
        for kind in StartKind.values:
            ended.add_metric([version, kind], sum(row.sessions for row in own if row.kind == kind))
        for place, family in enumerate(sums):
            family.add_metric([version], sum(row.sums[place] for row in own))
    yield from (pods, available, share, ended, *sums)
