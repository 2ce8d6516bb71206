"""What an agent's bot has started: it ends with the agent's process, whatever it is and wherever it has gone.

An agent leads a session and a process group of its own. Who waits for its process ends the group first: until then its
number is nobody else's. What has left the group belongs to the agent, a subreaper, for as long as that lives, and to
the supervisor after it (`pools.kernel.strays`).
"""

import contextlib
import ctypes
import os
import signal

_PR_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def become_subreaper() -> None:
    """From now on, orphans among our descendants become our children (prctl(2)). Raises OSError."""
    if _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def end_group(leader: int) -> None:
    """Kill the process group of an agent that is dead and has not been waited for yet."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it is empty; or all that is left changed its user
        os.killpg(leader, signal.SIGKILL)
