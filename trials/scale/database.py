"""Measures PostgreSQL's load: the CPU of its processes, and statements by pg_stat_statements."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from devtools.embedded_postgres import postmaster

SETTINGS = {
    "max_connections": "600",  # two a pod, and the clients
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "top",
}
BY_COST = """
SELECT calls, total_exec_time, rows, regexp_replace(left(query, 300), '\\s+', ' ', 'g') FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY total_exec_time DESC LIMIT 25"""
TOTAL = """
SELECT coalesce(sum(calls), 0)::float8 FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@dataclass(frozen=True)
class Load:
    """The load during an interval. `cores`: of PostgreSQL, 1 is a core; `pods_cores`: of the supervisors' processes."""

    seconds: float
    cores: float
    pods_cores: float
    statements: float  # a second
    commits: float  # a second
    dearest: list[dict[str, Any]]

    def in_words(self) -> str:
        return (
            f"{self.cores * 100:.1f} % of a core, {self.statements:.0f} statements/s, {self.commits:.0f} commits/s "
            f"(the pods themselves: {self.pods_cores * 100:.0f} %)"
        )


class Meter:
    """Measures the load between `begin` and `end`."""

    def __init__(self, url: str, cluster: Path) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._cluster = cluster
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    def begin(self, pids: list[int]) -> None:
        self._pids = pids
        self._connection.execute("SELECT pg_stat_statements_reset()")
        self._began, self._cpu = time.monotonic(), self._postgres_seconds()
        self._pods_cpu = sum(map(_seconds_of, pids))
        self._commits = self._number("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")

    def end(self) -> Load:
        seconds = time.monotonic() - self._began
        cpu, pods_cpu = self._postgres_seconds() - self._cpu, sum(map(_seconds_of, self._pids)) - self._pods_cpu
        commits = self._number("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        statements = self._number(TOTAL)
        dearest = [
            {"a_second": calls / seconds, "ms_a_second": spent / seconds, "rows": rows, "statement": text}
            for calls, spent, rows, text in self._connection.execute(BY_COST).fetchall()
        ]
        return Load(
            seconds,
            cpu / seconds,
            pods_cpu / seconds,
            statements / seconds,
            (commits - self._commits) / seconds,
            dearest,
        )

    def close(self) -> None:
        self._connection.close()

    def _number(self, query: str) -> float:
        row = self._connection.execute(query.encode()).fetchone()
        return float(row[0]) if row else 0.0

    def _postgres_seconds(self) -> float:
        """Of the processes that it has. (One that ends meanwhile takes its account with it: none of the pods' does.)"""
        return sum(map(_seconds_of, postmaster.all_of(self._cluster)))


def _seconds_of(pid: int) -> float:
    """On a CPU, all threads, to the nanosecond: ticks would be ten milliseconds. 0 for one that is gone."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(thread.read_text().split()[0])
    return total / 1e9
