"""Reads the database over a connection that is opened again when it was lost. Thread-safe."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

SESSIONS = """
    SELECT s.uuid, s.status, s.start_kind, s.attempt, extract(epoch FROM s.created_at)::float8,
           extract(epoch FROM s.active_at)::float8, s.bot_joined_at, extract(epoch FROM s.ended_at)::float8,
           s.end_reason, p.os_pid, r.name, extract(epoch FROM r.expires_at - s.created_at)::float8
      FROM pools_voicesession s JOIN pools_room r ON r.id = s.room_id
      LEFT JOIN pools_agentprocess p ON p.id = s.agent_process_id WHERE s.uuid = ANY(%s)
"""
LEVEL = """
    SELECT (SELECT count(*) FROM pools_voicesession WHERE status <> 'ended'),
           (SELECT count(*) FROM pools_agentprocess WHERE status IN ('warming', 'in_use')),
           (SELECT count(*) FROM pools_room WHERE status IN ('warming', 'in_use')),
           (SELECT count(*) FROM pools_pod WHERE ended_at IS NULL)
"""
STOCK = """
    SELECT count(*) FROM pools_pod p WHERE p.ended_at IS NULL AND heartbeat_at > now() - interval '3 s'
       AND (SELECT count(*) FROM pools_agentprocess a WHERE a.pod_id = p.id AND a.status = 'available') >= agent_target
       AND (SELECT count(*) FROM pools_room r WHERE r.pod_id = p.id AND r.status = 'available') >= room_target
"""
LIVE = "SELECT count(*) FROM pools_pod WHERE ended_at IS NULL AND heartbeat_at > now() - interval '3 s'"
NEWEST = """
    SELECT a.os_pid FROM pools_agentprocess a JOIN pools_pod p ON p.id = a.pod_id
     WHERE a.status = 'available' AND p.ended_at IS NULL ORDER BY p.free_slots DESC, a.id DESC LIMIT 1
"""


@dataclass(frozen=True)
class Session:
    """Times are Unix seconds."""

    uuid: UUID
    status: str
    kind: str
    attempt: int
    created: float
    active: float | None
    joined: datetime | None
    ended: float | None
    reason: str
    pid: int | None
    room: str
    room_life: float  # that the room had left when it was handed out, seconds

    def ended_after(self, since: float) -> list[float]:
        """Return the seconds; empty if it has not ended."""
        return [] if self.ended is None else [self.ended - since]

    def acknowledged_after(self, since: float) -> list[float]:
        return [] if self.active is None else [self.active - since]


class Tables:
    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query. Raises psycopg.Error; the next call reconnects."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=3)
                cursor = self._connection.execute(query.encode(), parameters)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                self.close()
                raise

    def number(self, query: str, parameters: Sequence[Any] = ()) -> int:
        return int(self.rows(query, parameters)[0][0] or 0)

    def sessions(self, uuids: Sequence[UUID]) -> dict[UUID, Session]:
        found = self.rows(SESSIONS, [list(uuids)])
        return {row[0]: Session(*row) for row in found}

    def session(self, uuid: UUID) -> Session:
        return self.sessions([uuid])[uuid]

    def is_level(self, pods: int) -> bool:
        """Tell whether nothing is in progress and this many pods are full. Ended rooms may still exist at Daily."""
        return self.rows(LEVEL)[0] == (0, 0, 0, pods) and self.full_pods() == pods

    def rooms_to_delete(self) -> int:
        return self.number("SELECT count(*) FROM pools_room WHERE status = 'ended' AND deleted_at IS NULL")

    def level_in_words(self) -> str:
        names = ("sessions", "processes not available", "rooms not available", "pods")
        words = (f"{name}={value}" for name, value in zip(names, self.rows(LEVEL)[0], strict=True))
        return f"{' '.join(words)} full_pods={self.full_pods()}"

    def full_pods(self) -> int:
        return self.number(STOCK)

    def live_pods(self) -> int:
        return self.number(LIVE)

    def newest_available(self) -> int | None:
        """Return the pid of the process that the next claim probably takes."""
        rows = self.rows(NEWEST)
        return rows[0][0] if rows else None

    def available_pids(self) -> list[int]:
        return [row[0] for row in self.rows("SELECT os_pid FROM pools_agentprocess WHERE status = 'available'")]
