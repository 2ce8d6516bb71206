"""gunicorn's settings, in development and in production.

Environment: PORT, LISTEN_ON (`loopback`, or `all` addresses of the host, IPv4 and IPv6),
WEB_CONCURRENCY (workers), WEB_THREADS (per worker). Anything else: GUNICORN_CMD_ARGS, or arguments.
"""

import logging
import os
import resource
from typing import Any

from breezebuddy import listening, metrics_directory
from common.secrecy import keep_memory_private
from pools.logs import log_format

wsgi_app = "breezebuddy.wsgi"
bind = listening.binds(os.environ.get("LISTEN_ON") or listening.LOOPBACK, int(os.environ.get("PORT") or 8000))
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
threads = int(os.environ.get("WEB_THREADS") or 8)
# Threads, measured against asgi: half the latency for views that wait for nothing but PostgreSQL. Clients that are slow
# or silent cost none of them.
worker_class = "breezebuddy.patient_worker.PatientWorker"
preload_app = False  # connections must not be opened before the fork
keepalive = 75  # seconds; longer than the usual load balancer's, so that it is never us who closes under a request
graceful_timeout = 10
control_socket_disable = True
forwarder_headers = ""  # by default, a trusted proxy could set PATH_INFO and SCRIPT_NAME by headers of these names
errorlog = "-"
accesslog = None
if os.path.isdir("/dev/shm"):  # noqa: S108
    worker_tmp_dir = "/dev/shm"  # noqa: S108 - heartbeats of the workers; on a slow disk they block

# Each thread can have a connection; the settings, which workers load after the fork, read this.
os.environ.setdefault("DATABASE_POOL_SIZE", str(threads))

# The master's own lines; its workers' are the settings' business.
FORM = os.environ.get("LOG_FORMAT") or (log_format.JSON if os.environ.get("DATABASE_URL") else log_format.TEXT)
if FORM == log_format.JSON:
    logconfig_dict = {
        "formatters": {"generic": {"()": "pools.logs.log_format.formatter", "form": FORM}},
        "root": {"level": "INFO", "handlers": ["error_console"]},
        "loggers": {"gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True}},
    }

# A worker has up to 1,000 connections, and closes the oldest rather than refuse one.
SOFT, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(SOFT, 4096), HARD), HARD))

keep_memory_private()  # settings hold secrets, and where `runpools` is in the same container bots run as the same user
metrics_directory.prepare()  # before a worker imports prometheus_client, which then counts into it


def child_exit(server: Any, worker: Any) -> None:
    """What a worker has counted stays; what it had at the moment goes with it."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    metrics_directory.remove()


def post_worker_init(worker: Any) -> None:
    """Connect before the first request does: a new connection costs 8 ms. Without a database, requests get 503."""
    from django.db import Error, connection

    from common.postgresql.connection import ImpatientConnection

    ImpatientConnection.answer_timeout = 2.0  # then 503: a caller waits

    try:
        connection.ensure_connection()
    except Error as exc:
        logging.getLogger("gunicorn.error").warning("event=no_database problem=%s", type(exc).__name__)
    finally:
        connection.close()
