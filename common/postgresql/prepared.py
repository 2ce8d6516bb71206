"""Statements that the server parses and plans once a connection: for the few that run all the time.

Django's cursors put the values into the text, so that each statement is a new one to the server; for a short one that
is most of what it costs. Here the values go apart from the text. Such a statement names its columns (`*` would fail on
open connections once a migration has added one), casts values whose type nothing else tells, and has what an index is
partial by in its text. A pooler in between has to know about prepared statements and about `DEALLOCATE ALL`, which
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
        """Raises OperationalError, and closes the connection, where a migration has given a column another type: the
        plan is of no use any more, and would be refused again and again."""
        try:
            return super().execute(query, params, **{"prepare": True, **options})
        except psycopg.errors.FeatureNotSupported as error:
            self.connection.close()
            raise psycopg.OperationalError(str(error)) from None


def prepared_cursor() -> CursorWrapper:
    """A cursor of this thread's connection, to be used as one of Django's."""
    database = connections[DEFAULT_DB_ALIAS]
    database.close_if_health_check_failed()
    database.ensure_connection()
    cursor: Any = PreparedCursor(database.connection)
    return database.make_debug_cursor(cursor) if database.queries_logged else database.make_cursor(cursor)


def columns(model: type[models.Model], table: str) -> str:
    """All columns of a model, in the order in which `from_row` takes them; texts without their longest length, which
    a migration may raise."""
    return ", ".join(
        f"{table}.{field.column}{'::text' * isinstance(field, models.CharField)}"
        for field in model._meta.concrete_fields
    )


def from_row(model: type[M], values: Sequence[Any]) -> M:
    """As the ORM would have read it."""
    fields = model._meta.concrete_fields
    read = [
        field.from_db_value(value, None, connection) if hasattr(field, "from_db_value") else value
        for field, value in zip(fields, values, strict=True)
    ]
    return model.from_db(connection.alias, [field.attname for field in fields], read)
