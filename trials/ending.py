"""How every trial ends: with its result, with the error that broke it, or because it was interrupted."""

import http.client
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg

from devtools.embedded_postgres import EmbeddedPostgresError
from devtools.processes import ProgramEnded, StopRequested
from pools.agent.launcher import ZygoteUnavailable
from pools.daily.errors import DailyError
from trials.client import Refused
from trials.console import say
from trials.report import Report
from trials.world import DidNotHappen

INTERRUPTED = 130  # the exit status
EXIT_STATUS = (
    "Exit status: 0 success, 1 failure (what must hold does not, or the trial broke), 2 usage error, 130 interrupted."
)
BROKEN = (
    DailyError,
    DidNotHappen,
    EmbeddedPostgresError,
    ProgramEnded,
    Refused,
    ZygoteUnavailable,
    http.client.HTTPException,
    psycopg.Error,
    OSError,  # those of requests too
)


def conclude(report: Report, run: Callable[[], None], output: Path | None = None) -> int:
    """Run a trial, print its report and write it as JSON to `output`. Returns the exit status."""
    try:
        run()
    except (StopRequested, KeyboardInterrupt):
        say("interrupted; everything has been ended")
        return INTERRUPTED
    except BROKEN as error:
        report.broken.append(f"{type(error).__name__}: {error}")
    sys.stdout.write(f"\n{report.in_words()}\n")
    if output:
        report.write(output)
        sys.stdout.write(f"written to {output}\n")
    return 0 if report.holds else 1
