"""Occupies the machine on purpose: two processes per core that only compute, until the run is over.

They end with the run, with us if we are killed, and by themselves after an hour and a half in any case.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from trials.world import ROOT

A_CORE = 2
LONGEST_S = 5400
BURN = f"""
import time
until = time.monotonic() + {LONGEST_S}
while time.monotonic() < until:
    sum(range(100_000))
"""


@contextmanager
def occupied_cores() -> Iterator[int]:
    """Start the processes, yield their number, and end them with the block."""
    number = A_CORE * (os.cpu_count() or 1)
    command = [sys.executable, "-m", "trials.tethered", sys.executable, "-c", BURN]
    burning = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        for _ in range(number)
    ]
    try:
        yield number
    finally:
        for process in burning:
            process.kill()
        for process in burning:
            process.wait()
