"""Prepares statements, so that the server parses and plans them once per connection; for those that run all the time.

Django's cursors put the values into the text, so that each statement is a new one to the server, which is most of the
cost of a short one. Here values are sent separately. Such a statement must name its columns (`*` would fail on open
connections once a migration has added one), cast values whose type is not clear from the context, and contain the
condition of a partial index literally. A pooler in between must support prepared statements and `DEALLOCATE ALL`, which
follows a rollback: PgBouncer does from 1.22 on.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.backends.utils import CursorWrapper
from psycopg.abc import Params

M = TypeVar("M", bound=models.Model)


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


def columns(model: type[models.Model], table: str) -> str:
    """Return all columns of a model, in the order in which `from_row` takes them. Texts are cast to drop their maximum
    length, which a migration may raise."""
    return ", ".join(
        f"{table}.{field.column}{'::text' * isinstance(field, models.CharField)}"
        for field in model._meta.concrete_fields
    )


def from_row(model: type[M], values: Sequence[Any]) -> M:
    """Build an instance from a row of `columns`, as the ORM would have read it."""
    fields = model._meta.concrete_fields
    read = [
        field.from_db_value(value, None, connection) if hasattr(field, "from_db_value") else value
        for field, value in zip(fields, values, strict=True)
    ]
    return model.from_db(connection.alias, [field.attname for field in fields], read)
