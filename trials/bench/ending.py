"""What ends a run of the tools beside the service (benchmarks, chaos, hosts, load, shipping) before its time."""

import http.client

import psycopg

from devtools.embedded_postgres import EmbeddedPostgresError
from devtools.processes import ProgramEnded, StopRequested
from pools.agent.launcher import ZygoteUnavailable
from pools.daily.errors import DailyError
from trials.bench.client import Refused
from trials.bench.world import DidNotHappen

INTERRUPTED = 130  # the exit status
INTERRUPTIONS = (StopRequested, KeyboardInterrupt)
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
