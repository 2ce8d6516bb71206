"""Wait until the pools are as wanted.

--ready: each live pod has its target of agent processes there to be claimed, and all together their rooms. A pod that
has not registered yet is not known here: say how many you expect with --pods. A pool that is to keep nothing (paused,
or of size 0) is not ready.
Exit code 0: so it is; 1: not within the time, and what was missing; 3: the database did not answer.
"""

import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.db import OperationalError, connection

from common.database import is_connection_failure, no_database
from common.display import duration
from pools.status.readiness import what_is_missing
from pools.status.state import read_state
from pools.terminal.screen import Screen
from pools.terminal.verbs import ExitCode

HELP = "wait until the pools are really full (--ready)"
LOOK_S = 0.2


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--ready", action="store_true", help="until the pools are full: what is meant without it too")
    parser.add_argument("--pods", type=int, default=1, metavar="N", help="of at least N pods (default: 1)")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="how long at most (default: 60; 0: look once)"
    )


def run(options: Mapping[str, Any], screen: Screen) -> int:
    began = time.monotonic()
    told: list[str] = []
    while True:
        missing, code = look(options["pods"])
        waited = time.monotonic() - began
        if not missing:
            screen.out(f"Ready after {duration(waited)}.")
            return ExitCode.FINE
        if waited >= options["timeout"]:
            screen.note(f"Not ready within {options['timeout']:g} s: {'; '.join(missing)}")
            return code
        if missing != told:
            screen.note(f"Waiting: {'; '.join(missing)}")
            told = missing
        time.sleep(min(LOOK_S, max(0.0, options["timeout"] - waited)))


def look(pods: int) -> tuple[list[str], ExitCode]:
    """What is missing; a database that is not up yet is waited for like everything else."""
    try:
        return what_is_missing(read_state(), pods=pods), ExitCode.DEGRADED
    except OperationalError as error:
        connection.close()
        if not is_connection_failure(error):
            raise
        return [no_database(error)], ExitCode.UNKNOWN
