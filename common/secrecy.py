"""Hides this process's memory and secrets from other processes of the same user."""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
# Without those that libraries read from the environment whenever they need them, such as PGPASSWORD.
SECRETS = (
    "DATABASE_URL",
    "SECRET_KEY",
    "DAILY_API_KEY",
    "DAILY_SANDBOX_API_KEY",
    "JWT_SECRET_KEY",
    "METRICS_TOKEN",
    "REPORTING_WEBHOOK_KEYS",
)
_LIBC = ctypes.CDLL(None, use_errno=True)
_ENV_START, _ENV_END = 47, 48  # in /proc/PID/stat, counted from the state on (proc(5): 50 and 51)


def keep_memory_private() -> None:
    """Make this process and its forks undumpable (prctl(2)); programs that they execute are not. Raises OSError.

    The process's files in /proc then belong to root: no other process of the same user can read them or attach a
    debugger, and the process itself cannot write to them.
    """
    if _LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def name_process(name: str) -> None:
    """Set what /proc/PID/comm shows, in a process of one thread; the file may belong to root. Raises OSError."""
    if _LIBC.prctl(PR_SET_NAME, name.encode(), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NAME)")


def forget_secrets(names: Iterable[str] = SECRETS) -> None:
    """Remove variables from the environment, and from the memory that /proc/PID/environ shows."""
    names = set(names)
    for name in names:
        os.environ.pop(name, None)
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[_ENV_START]), int(fields[_ENV_END])
    at = start
    for variable in ctypes.string_at(start, end - start).split(b"\0"):
        key, _, value = variable.partition(b"=")
        if key.decode(errors="replace") in names:
            ctypes.memset(at + len(key) + 1, 0, len(value))
        at += len(variable) + 1
