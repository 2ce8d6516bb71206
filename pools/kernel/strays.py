"""Processes that come to us without having been started by us: a subreaper buries them, and no zombies stay."""

import ctypes
import os

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Agents whose zygote has died become our children, and we see their end (prctl(2))."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def reap_strays(known: set[int]) -> None:
    """We inherit the children of dead agents too: bury those that nobody waits for."""
    while True:
        try:
            stray = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if stray is None or stray.si_pid in known:
            return  # a known one is waited for by its owner
        os.waitpid(stray.si_pid, 0)
