"""Ends the processes that a bot has started, when its agent process ends.

Each agent leads a session and a process group of its own. The process that waits for it kills the group before, while
the group's number cannot have been reused. Descendants that have left the group are adopted by the agent, a subreaper,
while it lives, and by the supervisor afterwards (`pools.kernel.strays`).
"""

import contextlib
import ctypes
import os
import signal

_PR_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def become_subreaper() -> None:
    """Adopt orphans among the descendants of this process as its children (prctl(2)). Raises OSError."""
    if _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def end_group(leader: int) -> None:
    """Kill the process group of a dead agent that has not been waited for yet."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it is empty; or all that is left changed its user
        os.killpg(leader, signal.SIGKILL)
