"""Run a program that is interrupted when its parent dies: `python -m trials.tethered PROGRAM ARGUMENTS`.

Here rather than in a `preexec_fn`, which is not safe in a process with threads (and the harness has callers).
"""

import os
import signal
import sys

from devtools.parent_death import send_us_at_parents_death

if __name__ == "__main__":
    send_us_at_parents_death(signal.SIGINT)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 (arguments of our own)
