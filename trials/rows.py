"""Reads sessions and pools from the database. PostgreSQL's clock is this machine's, so that its times can be
compared with the client's. One connection of its own; reading costs the service nothing but a short query.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString, Self

import psycopg

SETTLED = """
    SELECT (SELECT count(*) FROM pools_voicesession WHERE status <> 'ended' AND NOT unclaimed),
           (SELECT count(*) FROM pools_voicesession WHERE unclaimed AND bot_joined_at IS NOT NULL),
           (SELECT count(*) FROM pools_agentprocess WHERE status = 'warming'),
           (SELECT count(*) FROM pools_agentprocess WHERE status = 'in_use'),
           (SELECT count(*) FROM pools_agentprocess WHERE status = 'available'),
           (SELECT count(*) FROM pools_room WHERE status = 'warming'),
           (SELECT count(*) FROM pools_room WHERE status = 'available')
"""
STARTS = """
    SELECT uuid, start_kind, attempt, extract(epoch FROM active_at)::float8
      FROM pools_voicesession WHERE uuid = ANY(%s)
"""


@dataclass(frozen=True)
class Start:
    """The start of a session. `active`: when it was acknowledged, in Unix seconds, or None."""

    kind: str
    attempt: int
    active: float | None


class Rows:
    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def settled(self, processes: int, rooms: int, prejoined: int = 0) -> bool:
        """Tell whether no session or process is in use and the pools are full; `prejoined` pairs count as ready."""
        return self._row(SETTLED) == (0, prejoined, 0, prejoined, processes, 0, rooms)

    def rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()

    def starts(self, sessions: Sequence[uuid.UUID]) -> list[Start]:
        """Return the starts in the order of `sessions`."""
        found = {row[0]: Start(row[1], row[2], row[3]) for row in self.all(STARTS, [list(sessions)])}
        return [found[session] for session in sessions]

    def first_audio(self, session: uuid.UUID) -> float:
        """Return when the session's bot first sent audio, in Unix seconds; 0: not yet."""
        row = self._row(
            "SELECT extract(epoch FROM first_audio_at)::float8 FROM pools_voicesession WHERE uuid = %s", [session]
        )
        return float(row[0] or 0)

    def process_refill(self) -> float:
        """Return the seconds from the last claim of a process until the next one was available; 0: not yet."""
        return self._refill("pools_agentprocess")

    def room_refill(self) -> float:
        return self._refill("pools_room")

    def _refill(self, table: str) -> float:
        row = self._row(
            f"SELECT extract(epoch FROM min(available_at) - max(handed.at))::float8"  # noqa: S608 (a name of ours)
            f"  FROM {table}, (SELECT max(in_use_at) AS at FROM {table}) AS handed WHERE available_at > handed.at"
        )
        return float(row[0] or 0)

    def idle_pids(self) -> list[int]:
        return [row[0] for row in self.all("SELECT os_pid FROM pools_agentprocess WHERE status = 'available'")]

    def connections(self) -> int:
        """Return the number of connections, those of the service and ours."""
        return int(self._row("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")[0])

    def retire_stock(self) -> None:
        """End the rooms that a pod has left, so that the next measure begins without any."""
        self._connection.execute(
            "UPDATE pools_room SET status = 'ended', ended_at = now(), end_reason = 'benchmark', deleted_at = now()"
            " WHERE status IN ('warming', 'available')"
        )

    def number(self, query: str) -> int:
        return int(self._row(query)[0])

    def execute(self, statement: str, parameters: dict[str, object]) -> None:
        self._connection.execute(statement.encode(), parameters)

    def settings(self, *names: str) -> dict[str, str]:
        return {name: self._row("SELECT current_setting(%s)", [name])[0] for name in names}

    def commit(self) -> None:
        """Commit one small durable transaction."""
        self._connection.execute("UPDATE bench_commit SET n = n + 1")

    def prepare_commits(self) -> None:
        self._connection.execute("CREATE TABLE IF NOT EXISTS bench_commit AS SELECT 0 AS n")

    def _row(self, query: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
        row = self._connection.execute(query.encode(), parameters).fetchone()
        if row is None:
            raise psycopg.DataError("no row came back")
        return row

    def all(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(query.encode(), parameters).fetchall()
