"""Run a program that is interrupted when its parent dies: `python -m chaos.tethered PROGRAM ARGUMENTS`.

Here rather than in a `preexec_fn`, which is not safe in a process with threads (and the harness has callers).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 (arguments of our own)
