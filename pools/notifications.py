"""NOTIFY wakes supervisors up. Only that: the rows are the truth and every supervisor also polls.

What concerns one pod goes to that pod's own channel: in a fleet of a hundred, a claim that woke everybody would have
ninety-eight look at their rows for nothing.

Sent after the commit, as a statement of its own: inside the durable commit it would serialise all commits at
one disk flush each. One that is lost to a crash is healed by the poll.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connection

from common.postgresql.connection import ImpatientConnection
from common.postgresql.prepared import prepared_cursor

CHANNEL = "breezebuddy_pools"
OVERRIDES = "overrides"
CHORES = "chores"
WAKE_OWNERS = """
SELECT pg_notify('breezebuddy_pod_' || left(md5(name), 16), '') FROM pools_pod WHERE id IN (
    SELECT pod_id FROM pools_agentprocess WHERE id = ANY(%s::bigint[])
    UNION SELECT pod_id FROM pools_room WHERE id = ANY(%s::bigint[]))"""
MOST_ROUNDS = 10  # for others, by one who only wanted to say his own


def channel_of(pod: str) -> str:
    """As WAKE_OWNERS reckons it: a name may be longer than a channel's."""
    return f"breezebuddy_pod_{hashlib.md5(pod.encode(), usedforsecurity=False).hexdigest()[:16]}"


def wake_supervisors() -> None:
    """All of them. Call after the commit, never inside the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def hand_over_chores(pod: str) -> None:
    """It is the oldest now: it is to look, whatever it has in hand."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel_of(pod), CHORES])


def wake_for(process: int | None, room: int) -> None:
    """Those whom a session concerns, after the commit: the pod that has its process and the one that makes up for its
    room; all, where it waits for a process."""
    if process is None:
        wake_supervisors()
        return
    if connection.in_atomic_block:  # it may yet be rolled back: nobody else's word may hang on that
        _wake_owners({(process, room)})
    else:
        _said_together.say(process, room)


def _wake_owners(pairs: set[tuple[int, int]]) -> None:
    processes, rooms = zip(*pairs, strict=True)
    with prepared_cursor() as cursor:
        cursor.execute(WAKE_OWNERS, [list(processes), list(rooms)])


class SaidTogether:
    """Requests at the same time have their words said in one NOTIFY by one of them: each NOTIFY wakes the backend of
    every listener of the database, whatever its channel, which with a hundred pods costs more than a claim."""

    def __init__(self, speak: Callable[[set[tuple[int, int]]], None]) -> None:
        self._speak = speak
        self._lock = threading.Lock()
        self._unsaid: set[tuple[int, int]] = set()
        self._speaking = False

    def say(self, process: int, room: int) -> None:
        """Returns at once if somebody is speaking: he says this too, when he is through."""
        with self._lock:
            self._unsaid.add((process, room))
            if self._speaking:
                return
            self._speaking = True
        try:
            for _ in range(MOST_ROUNDS):
                if not (pairs := self._next()):
                    return
                self._speak(pairs)
        finally:
            with self._lock:
                self._speaking = False  # or somebody else's already: two who speak at once do no harm

    def _next(self) -> set[tuple[int, int]]:
        with self._lock:
            pairs, self._unsaid = self._unsaid, set()
            self._speaking = bool(pairs)  # in one with the look: whoever comes after it speaks for himself
        return pairs


_said_together = SaidTogether(_wake_owners)


def announce_overrides() -> None:
    """Operators' overrides have changed: supervisors read them now, not only at their next poll."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, OVERRIDES])


class Listener:
    """A connection of its own. Once it listens it does nothing else, so that it is always ready to hear."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """`parameters`: psycopg's connection parameters. Raises psycopg.OperationalError."""
        self._connection = ImpatientConnection.connect(**{"connect_timeout": 2, **parameters}, autocommit=True)

    def ask(self, query: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
        """One row, before `listen`."""
        return self._connection.execute(query.encode(), parameters).fetchone()

    def listen(self, pod: str) -> None:
        """To what concerns all, and to what concerns this pod."""
        self._connection.execute(f"LISTEN {CHANNEL}".encode())
        self._connection.execute(f"LISTEN {channel_of(pod)}".encode())

    def fileno(self) -> int:
        return self._connection.fileno()

    def drain(self) -> set[str]:
        """Take all notifications that have arrived; what they were about. Raises psycopg.OperationalError."""
        return {notify.payload for notify in self._connection.notifies(timeout=0)}

    def check(self) -> None:
        """Prove that the other end is there. What arrives meanwhile is kept for `drain`."""
        self._connection.execute("SELECT 1")

    def close(self) -> None:
        self._connection.close()
