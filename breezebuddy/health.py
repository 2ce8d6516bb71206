"""Is this service ready? Asked over HTTP by gunicorn's view and by the probe port of `runpools`."""

import logging
from typing import Any

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from pools.models import Pod

logger = logging.getLogger(__name__)


class Readiness:
    """Callable: (HTTP status, JSON body). Remembers that the migrations are applied: they do not get unapplied."""

    def __init__(self) -> None:
        self._migrated = False

    def __call__(self) -> tuple[int, dict[str, Any]]:
        """200 ok or degraded (no live pod: leads can still be pushed), 503 if nothing can be done here."""
        try:
            missing = self._missing_migrations()
            if missing:
                names = ", ".join(missing[:5])
                return 503, {"status": "unavailable", "detail": f"{len(missing)} migrations are not applied: {names}"}
            if _is_read_only():
                connection.connection.close()  # it may have outlived a failover: the next may lead to a primary
                connection.close()
                return 503, {"status": "unavailable", "detail": "the database is read-only"}
            if not Pod.objects.live().exists():
                return 200, {"status": "degraded", "reasons": ["no live pod"]}
        except Error as error:
            logger.warning("event=not_ready problem=%s", type(error).__name__)
            return 503, {"status": "unavailable", "detail": "the database does not answer"}
        return 200, {"status": "ok"}

    def _missing_migrations(self) -> list[str]:
        """Reads every migration file the first time, so only until there is nothing missing."""
        if self._migrated:
            return []
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        self._migrated = not plan
        return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def _is_read_only() -> bool:
    """A standby, or set so because its disk is full."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('transaction_read_only') = 'on'")
        return bool(cursor.fetchone()[0])


readiness = Readiness()
