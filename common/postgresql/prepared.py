"""Prepares statements, so that the server parses and plans them once per connection; for those that run all the time.

Django's cursors put the values into the text, so that each statement is a new one to the server, which is most of the
cost of a short one. Here values are sent separately. Such a statement must name its columns (`*` would fail on open
connections once a migration has added one), cast values whose type is not clear from the context, and contain the
condition of a partial index literally. A pooler in between must support prepared statements and `DEALLOCATE ALL`, which
follows a rollback: PgBouncer does from 1.22 on.
"""

from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper
from psycopg.abc import Params


class PreparedCursor(psycopg.Cursor[Any]):
    def execute(self, query: Any, params: Params | None = None, **options: Any) -> "PreparedCursor":
        """Run a statement, prepared. If a migration has changed the type of a column, the plan has become useless and
        would be refused again and again: then this closes the connection and raises OperationalError."""
        try:
            return super().execute(query, params, **{"prepare": True, **options})
        except psycopg.errors.FeatureNotSupported as error:
            self.connection.close()
            raise psycopg.OperationalError(str(error)) from None


def prepared_cursor() -> CursorWrapper:
    """Return a cursor of this thread's connection that prepares its statements; use it like one of Django's."""
    database = connections[DEFAULT_DB_ALIAS]
    database.close_if_health_check_failed()
    database.ensure_connection()
    cursor: Any = PreparedCursor(database.connection)
    return database.make_debug_cursor(cursor) if database.queries_logged else database.make_cursor(cursor)
