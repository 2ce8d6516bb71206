"""Asks the kernel to signal a process when its parent dies, so that no program outlives a killed parent."""

import ctypes
import signal

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def send_us_at_parents_death(number: signal.Signals) -> None:
    """Call prctl(2). It has no effect if the parent is dead already: check getppid() afterwards if that can happen."""
    LIBC.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
