"""Starts the server of a data directory, attaches to it, and stops it after its last user."""

import logging
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from devtools.embedded_postgres import place, postmaster
from devtools.embedded_postgres.answering import answers, connect, wait_until_up
from devtools.embedded_postgres.errors import EmbeddedPostgresError
from devtools.embedded_postgres.filelock import FileLock
from devtools.embedded_postgres.launch import launch
from devtools.embedded_postgres.place import Place

logger = logging.getLogger(__name__)

LOCK_DEADLINE = 330.0  # seconds: whoever holds the lock may be waiting for a recovery


@dataclass
class Server:
    """A running server that this process uses until `stop()`."""

    url: str
    started_here: bool
    place: Place
    _use: FileLock
    _minder: "subprocess.Popen[bytes] | None" = None

    @property
    def pid(self) -> int | None:
        return postmaster.postmaster(self.place.cluster)

    @property
    def log(self) -> Path:
        return self.place.log

    def stop(self) -> bool:
        """Stop the server unless another process uses it. Returns whether it is down. May be called twice."""
        with FileLock(self.place.lock) as lock:
            lock.acquire(deadline=LOCK_DEADLINE)
            self._use.release()
            with FileLock(self.place.users) as users:
                if not users.try_acquire():
                    # Either others use it, or the minder has it for a moment: it notices that we left, and goes on
                    # to wait for the lock that we hold.
                    users.acquire(shared=True, deadline=LOCK_DEADLINE)
                    users.release()
                    if not users.try_acquire():
                        return False
                pid = self.pid
                if pid is not None and not postmaster.stop(pid, self.place.cluster):
                    logger.warning("event=postgres_killed pid=%d reason=would_not_stop", pid)
        if self._minder:
            self._minder.wait()
        return True


def is_running(data_dir: Path) -> bool:
    """Tell whether the server of `data_dir` answers."""
    return answers(place.find(data_dir))


def start(data_dir: Path, settings: Mapping[str, str] | None = None) -> Server:
    """Start the server of `data_dir`, or attach to the one that runs. `settings`: of PostgreSQL, besides or instead of
    ours, for a server that is started here.

    Milliseconds to attach, a second or two the first time. Raises EmbeddedPostgresError.
    """
    if not sys.platform.startswith("linux"):
        raise EmbeddedPostgresError("the embedded PostgreSQL runs on Linux only: set DATABASE_URL")
    where = place.find(data_dir)
    place.make_data_dir(where.data_dir)
    use = FileLock(where.users)
    minder = None
    try:
        with FileLock(where.lock) as lock:
            lock.acquire(deadline=LOCK_DEADLINE)
            use.acquire(shared=True, deadline=LOCK_DEADLINE)
            where = place.find(data_dir)  # another starter may just have settled it
            if not answers(where) and not _comes_up(where):
                where, minder = launch(where, settings or {})
            _ensure_database(where)
    except BaseException as exc:
        use.release()
        if isinstance(exc, OSError):
            raise EmbeddedPostgresError(f"{exc.filename or where.home}: {exc.strerror} (or set DATABASE_URL)") from exc
        raise
    return Server(where.url, minder is not None, where, use, minder)


def remove(data_dir: Path) -> None:
    """Remove what a server of `data_dir` left behind, its data included. Raises EmbeddedPostgresError if it is used."""
    where = place.find(data_dir)
    if not where.data_dir.is_dir():
        return
    with FileLock(where.users) as users:
        if not users.try_acquire():
            raise EmbeddedPostgresError(f"the PostgreSQL in {data_dir} is in use: stop what uses it first")
        for pid in postmaster.all_of(where.cluster):
            postmaster.stop(pid, where.cluster, postmaster.WITHOUT_CHECKPOINT)
        for directory in {where.home, where.sockets, where.data_dir}:
            shutil.rmtree(directory, ignore_errors=True)


def _comes_up(where: Place) -> bool:
    """Wait for a server that runs but does not answer yet. Ends it and its processes if it never does."""
    pid = postmaster.postmaster(where.cluster)
    if pid is not None:
        if wait_until_up(where, lambda: postmaster.is_ours(pid, where.cluster), needs_listener=True):
            return True
        logger.warning("event=postgres_does_not_answer pid=%d action=stop", pid)
        postmaster.stop(pid, where.cluster)
    # A postmaster that was killed leaves backends that go by themselves, but not while they are busy; and a new
    # server refuses to start as long as one of them holds the shared memory.
    for left in postmaster.all_of(where.cluster):
        postmaster.stop(left, where.cluster, postmaster.WITHOUT_CHECKPOINT)
    return False


def _ensure_database(where: Place) -> None:
    with connect(where) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [place.DATABASE]).fetchone()
        if not known:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(place.DATABASE)))
