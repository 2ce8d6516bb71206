"""Checks whether the server of a place answers, and waits until it does."""

import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from devtools.embedded_postgres import place
from devtools.embedded_postgres.errors import EmbeddedPostgresError
from devtools.embedded_postgres.place import Place

logger = logging.getLogger(__name__)

# Recovery after a crash replays up to max_wal_size: seconds on our disks, minutes on bad ones. A server that works
# on it is given the time; one that ends is noticed at once.
START_DEADLINE = 300.0
SILENT_DEADLINE = 10.0  # a running server that does not listen: on its way down, or beyond help
PROGRESS_EVERY = 5.0


def connect(where: Place) -> psycopg.Connection:
    """Connect to the database `postgres`, which always exists. Raises psycopg.OperationalError."""
    return psycopg.connect(
        host=str(where.sockets),
        port=place.PORT,
        user=place.USER,
        dbname="postgres",
        connect_timeout=5,
        autocommit=True,
    )


def answers(where: Place) -> bool:
    """Tell whether the server on our socket serves our data directory."""
    answer = _answer(where)
    return answer is not None and _is_ours(answer, where)


def wait_until_up(where: Place, runs: Callable[[], bool], *, needs_listener: bool = False) -> bool:
    """Return True when our server answers, False when it has ended or (`needs_listener`) never opens its socket."""
    started = reported = heard = time.monotonic()
    while (answer := _answer(where)) is None:
        now = time.monotonic()
        if not runs():
            return False
        if needs_listener:
            heard = now if _listens(where) else heard
            if now - heard > SILENT_DEADLINE:
                return False
        if now - started > START_DEADLINE:
            raise EmbeddedPostgresError(
                f"PostgreSQL has been starting for {START_DEADLINE:.0f} s and still works on it: "
                f"see {where.log}, wait, and start again"
            )
        if now - reported > PROGRESS_EVERY:
            reported = now
            logger.info("event=postgres_starting seconds=%.0f last=%r", now - started, last_words(where.log))
        time.sleep(0.01)
    return _is_ours(answer, where)


def last_words(path: Path, start: int = 0) -> str:
    """Return the most telling line of the server's log, from byte `start` on."""
    try:
        with open(path, "rb") as file:
            file.seek(max(start, os.path.getsize(path) - 8192))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return "no log"
    telling = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    return (telling or lines or ["no message"])[-1].strip()


def _answer(where: Place) -> Path | None:
    """Return the data directory of the server on our socket."""
    try:
        with connect(where) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
    except psycopg.Error:
        return None
    return Path(row[0]) if row else None


def _is_ours(data_directory: Path, where: Place) -> bool:
    """Tell whether it serves our directory. A server whose directory was moved uses the old path, so it does not."""
    try:
        return data_directory.samefile(where.cluster)
    except OSError:
        return False


def _listens(where: Place) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(where.sockets / place.SOCKET_NAME))
        except OSError:
            return False
    return True
