"""Checks whether the service is ready, for `/health/ready` of gunicorn and for the probe port of `runpools`."""

import logging
from typing import Any

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from pools.models import Pod

logger = logging.getLogger(__name__)


class Readiness:
    """A check that returns (HTTP status, JSON body). It remembers once all migrations are applied."""

    def __init__(self) -> None:
        self._migrated = False

    def __call__(self) -> tuple[int, dict[str, Any]]:
        """Return 200 (ok, or degraded without a live pod, when leads can still be pushed) or 503 (unavailable)."""
        try:
            missing = self._missing_migrations()
            if missing:
                names = ", ".join(missing[:5])
                return 503, {"status": "unavailable", "detail": f"{len(missing)} migrations are not applied: {names}"}
            if _is_read_only():
                connection.connection.close()  # perhaps to a former primary: a new connection may reach the new one
                connection.close()
                return 503, {"status": "unavailable", "detail": "the database is read-only"}
            if not Pod.objects.live().exists():
                return 200, {"status": "degraded", "reasons": ["no live pod"]}
        except Error as error:
            logger.warning("event=not_ready problem=%s", type(error).__name__)
            return 503, {"status": "unavailable", "detail": "the database does not answer"}
        return 200, {"status": "ok"}

    def _missing_migrations(self) -> list[str]:
        """Return the migrations that are not applied. Reads all migration files, so it stops once none is missing."""
        if self._migrated:
            return []
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        self._migrated = not plan
        return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def _is_read_only() -> bool:
    """Return whether the database is a standby, or was set read-only, for instance because its disk is full."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('transaction_read_only') = 'on'")
        return bool(cursor.fetchone()[0])


readiness = Readiness()
