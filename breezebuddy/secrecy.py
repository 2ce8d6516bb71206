"""What other processes of our user can read of this one: neither its memory nor the secrets that it was given."""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

PR_SET_DUMPABLE = 4
# Not those that libraries read from the environment whenever they need them (PGPASSWORD and its like).
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
    """For this process and what it forks; a program that it executes decides for itself (prctl(2)). Raises OSError.

    Its files in /proc are root's then, and no debugger of our user attaches to it.
    """
    if _LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def forget_secrets(names: Iterable[str] = SECRETS) -> None:
    """Take these variables out of the environment, and out of the memory that /proc/PID/environ shows."""
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
