"""NOTIFY wakes supervisors up. Only that: the rows are the truth and every supervisor also polls.

Sent after the commit, as a statement of its own: inside the durable commit it would serialise all commits at
one disk flush each. One that is lost to a crash is healed by the poll.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from breezebuddy.postgresql.connection import ImpatientConnection

CHANNEL = "breezebuddy_pools"
ORDERS = "orders"


def wake_supervisors() -> None:
    """Call after the commit, never inside the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def announce_orders() -> None:
    """Operators' orders have changed: supervisors read them now, not only at their next poll."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, ORDERS])


class Listener:
    """A connection of its own. Once it listens it does nothing else: a query could swallow a notification."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """`parameters`: psycopg's connection parameters. Raises psycopg.OperationalError."""
        self._connection = ImpatientConnection.connect(**{"connect_timeout": 2, **parameters}, autocommit=True)

    def ask(self, query: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
        """One row, before `listen`."""
        return self._connection.execute(query.encode(), parameters).fetchone()

    def listen(self) -> None:
        self._connection.execute(f"LISTEN {CHANNEL}".encode())

    def fileno(self) -> int:
        return self._connection.fileno()

    def drain(self) -> set[str]:
        """Take all notifications that have arrived; what they were about. Raises psycopg.OperationalError."""
        return {notify.payload for notify in self._connection.notifies(timeout=0)}

    def check(self) -> None:
        """Prove that the other end is there. What arrives meanwhile may be swallowed: look at the rows afterwards."""
        self._connection.execute("SELECT 1")

    def close(self) -> None:
        self._connection.close()
