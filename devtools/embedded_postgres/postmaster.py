"""Finds the server's processes by asking the kernel: a pid in a file may be another process's by now.

A process is ours if it is called `postgres` and works in our cluster: PostgreSQL's processes never leave their data
directory. A zombie works nowhere, and a reused pid somewhere else.
"""

import os
import select
import signal
from collections.abc import Sequence
from pathlib import Path

# How to end a process, with the seconds that each way is given: without its clients, without a checkpoint, at once.
WITHOUT_CHECKPOINT = ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
WITHOUT_CLIENTS = ((signal.SIGINT, 60.0), *WITHOUT_CHECKPOINT)


def postmaster(cluster: Path) -> int | None:
    """Return the pid of the running server of `cluster`."""
    pid = written_pid(cluster)
    return pid if pid is not None and is_ours(pid, cluster) else None


def written_pid(cluster: Path) -> int | None:
    """Return the pid in postmaster.pid, which may be another process's by now."""
    try:
        return int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def is_ours(pid: int, cluster: Path) -> bool:
    try:
        working_directory = os.stat(f"/proc/{pid}/cwd")
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return name == "postgres" and os.path.samestat(working_directory, cluster.stat())
    except OSError:
        return False


def all_of(cluster: Path) -> list[int]:
    """Return every process of the cluster, including those that outlived a killed postmaster."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and is_ours(int(name), cluster)]


def stop(pid: int, cluster: Path, ways: Sequence[tuple[signal.Signals, float]] = WITHOUT_CLIENTS) -> bool:
    """End a process of the cluster, with one signal after the other. Returns whether the first was enough."""
    for number, patience in ways:
        if _signal_and_wait(pid, cluster, number, patience):
            return number is ways[0][0]
    return False


def _signal_and_wait(pid: int, cluster: Path, number: signal.Signals, patience: float) -> bool:
    """Signal a process of the cluster. Returns whether it is gone after `patience` seconds."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not is_ours(pid, cluster):  # looked at after opening: from here on the handle cannot mean anybody else
            return True
        signal.pidfd_send_signal(handle, number)
        return bool(select.select([handle], [], [], patience)[0])
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)
