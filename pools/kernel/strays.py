"""Processes that come to us without having been started by us: a subreaper ends and buries them."""

import logging
import os
import signal

from pools.kernel import process_table

logger = logging.getLogger(__name__)


def end_strays(pod: str, known: set[int]) -> int:
    """Kill what dead agents of this pod have left running: it has become our child. Returns how many there were.

    It is known by its environment, which says whose agent has started it.
    """
    killed = 0
    for pid in process_table.children_of_pod(pod):
        if pid not in known:
            logger.info("event=stray_killed pid=%d", pid)
            os.kill(pid, signal.SIGKILL)  # our child: nobody else can have its number before we have waited for it
            killed += 1
    return killed


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
