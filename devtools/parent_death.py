"""Nothing outlives who has started it, even if that one is killed: the kernel tells."""

import ctypes
import signal

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def send_us_at_parents_death(number: signal.Signals) -> None:
    """prctl(2). Of no use if the parent is dead already: who cannot rule that out asks getppid() afterwards."""
    LIBC.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
