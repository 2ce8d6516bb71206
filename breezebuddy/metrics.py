"""Serves `/metrics`: what the processes that serve HTTP have counted, and the state of the pools from the database.

Under gunicorn the workers count into files of one directory (prometheus_client's multi-process mode, set up by
gunicorn.conf.py). So any worker can return the sum over all of them, including those that have died.
"""

import logging
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import View
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from breezebuddy.metrics_directory import VARIABLE
from leads.models import Lead, LeadStatus
from pools.metrics import REFUSAL, may_scrape
from pools.metrics.processes import Group, ProcessTree, children_of
from pools.status import fleet_metrics, version_metrics

logger = logging.getLogger(__name__)

UNREADABLE = (struct.error, RuntimeError, ValueError, OSError)


class FromDatabase(Collector):
    """Metrics that are read from the database. If it is away, only `breeze_buddy_database_up 0` is left."""

    def collect(self) -> Iterator[Metric]:
        try:
            found = [
                *fleet_metrics.metrics(fleet_metrics.read()),
                *version_metrics.metrics(version_metrics.read()),
                _backlog(),
            ]
        except Error as error:
            logger.warning("event=no_metrics_from_database problem=%s", type(error).__name__)
            found = []
        yield GaugeMetricFamily("breeze_buddy_database_up", "1: the database answers.", value=bool(found))
        yield from found


def _backlog() -> Metric:
    """Count the leads that wait. One statement. Raises django.db.Error."""
    backlog = Lead.objects.filter(status=LeadStatus.BACKLOG).count()
    return GaugeMetricFamily("breeze_buddy_lead_backlog", "Leads in BACKLOG.", value=backlog)


def _gunicorn() -> Mapping[str, Group]:
    """Return the process ids of the master and its workers. The master is the parent that reaps dead workers."""
    master = os.getppid()
    return {"gunicorn": Group({master, *children_of(master)}, parents={master})}


DATABASE, PROCESSES = CollectorRegistry(), CollectorRegistry()
DATABASE.register(FromDatabase())
PROCESSES.register(ProcessTree(_gunicorn))


class Workers(Collector):
    """What all workers of this master have counted. Damaged files are left out; most are empty, left by a worker that
    was killed while it created the file."""

    def collect(self) -> Iterator[Metric]:
        files = list(Path(os.environ[VARIABLE]).glob("*.db"))
        try:
            yield from _sum_of(files)
        except UNREADABLE:
            yield from _sum_of([file for file in files if _is_readable(file)])


def _sum_of(files: list[Path]) -> list[Metric]:
    return list(MultiProcessCollector.merge(files))


def _is_readable(file: Path) -> bool:
    try:
        _sum_of([file])
    except UNREADABLE as error:
        if not isinstance(error, FileNotFoundError) and file.stat().st_size:
            logger.warning("event=metrics_file_damaged file=%s problem=%s", file.name, type(error).__name__)
        return False
    return True


def _registries() -> list[CollectorRegistry]:
    if VARIABLE not in os.environ:  # one process alone
        return [DATABASE, REGISTRY]
    workers = CollectorRegistry()
    workers.register(Workers())
    return [DATABASE, workers, PROCESSES]


def exposition() -> bytes:
    return b"".join(generate_latest(registry) for registry in _registries())


class MetricsView(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        if not may_scrape(request.headers.get("Authorization"), settings.METRICS_TOKEN):
            return JsonResponse({"detail": REFUSAL}, status=401, headers={"WWW-Authenticate": "Bearer"})
        return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)
