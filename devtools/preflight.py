"""Checks before development programs are started: one run per data directory, and free ports."""

import contextlib
import fcntl
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

from breezebuddy import listening

LEFTOVERS_DEADLINE = 30.0  # seconds for the programs of a run that was killed to end


class CannotStart(Exception):
    """Development cannot start here. The message is one line and says what helps."""


def make_directories(data_dir: Path) -> Path:
    """Create the data directory and its private log directory, and return the latter. Raises CannotStart."""
    logs = data_dir / "logs"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        logs.mkdir(exist_ok=True)
        logs.chmod(0o700)
        with tempfile.TemporaryFile(dir=logs):
            pass
        _lock_file(data_dir).touch(mode=0o600)
    except OSError as exc:
        raise CannotStart(
            f"{exc.filename or logs} is not writable ({exc.strerror}): fix that, or set DATA_DIR to another directory"
        ) from exc
    return logs


@contextlib.contextmanager
def only_run(data_dir: Path, tell: Callable[[str], None]) -> Iterator[int]:
    """Hold the data directory's lock and yield its descriptor. Raises CannotStart if another run holds it.

    Programs that inherit the descriptor hold the lock too: it is free when the last program of a run is gone, though
    the run itself was killed.
    """
    with open(_lock_file(data_dir), "r+") as lock:
        deadline = time.monotonic() + LEFTOVERS_DEADLINE
        told = False
        while not _try_lock(lock.fileno()):
            lock.seek(0)
            holder = lock.read().strip()
            if _is_rundev(holder) or time.monotonic() > deadline:
                raise CannotStart(
                    f"`make run` runs already in {data_dir} (pid {holder or 'unknown'}): stop that one, "
                    "or give this one a DATA_DIR and a PORT of its own"
                )
            if not told:
                tell(f"Waiting for the programs of a run that was killed (pid {holder})")
                told = True
            time.sleep(0.1)
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield lock.fileno()


def check_ports(ports: Mapping[int, str], advice: str) -> None:
    """Check that ports are free; `ports` maps each to its purpose. Raises CannotStart for the first one in use."""
    for port, purpose in ports.items():
        for family, host in listening.THIS_HOST:
            try:
                with socket.socket(family) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((host, port))
            except OSError as exc:
                if exc.errno not in listening.NO_SUCH_FAMILY:
                    problem = f"port {port} (for {purpose}) cannot be used: {exc.strerror}. {advice}"
                    raise CannotStart(problem) from exc


def _lock_file(data_dir: Path) -> Path:
    return data_dir / "run.lock"


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_rundev(pid: str) -> bool:
    try:
        return "rundev" in psutil.Process(int(pid)).cmdline()
    except (psutil.Error, ValueError):
        return False
