"""Django's PostgreSQL backend, extended by the other modules of this package.

Connections have a deadline for every answer (connection.py) and come from a pool that replaces lost ones (pool.py).
The query log shows prepared statements (prepared.py). Schema changes do not lock tables for long
(django-pg-zero-downtime-migrations).
"""

from typing import Any

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base, operations
from django_zero_downtime_migrations.backends.postgres.schema import DatabaseSchemaEditor
from psycopg import IsolationLevel

from common.postgresql.connection import ImpatientConnection
from common.postgresql.pool import ForgettingPool
from common.postgresql.prepared import PreparedCursor


class Operations(operations.DatabaseOperations):
    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> Any:
        """Return a statement for Django's query log; of a prepared one with its values, so that it can be explained."""
        if isinstance(cursor, PreparedCursor):
            return self.compose_sql(sql, params)
        return super().last_executed_query(cursor, sql, params)


class DatabaseWrapper(base.DatabaseWrapper):
    SchemaEditorClass = DatabaseSchemaEditor
    ops_class = Operations

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """From the pool as Django does it; without one, a connection of our class."""
        if self.pool:
            return super().get_new_connection(conn_params)
        self.isolation_level = IsolationLevel.READ_COMMITTED  # PostgreSQL's default; Django has it set here
        return ImpatientConnection.connect(**conn_params)

    @property
    def pool(self) -> ForgettingPool | None:
        """The pool of this alias, as Django makes it but of our class; None where connections are not pooled."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        pools: dict[str, ForgettingPool] = self._connection_pools  # type: ignore[attr-defined]
        if self.alias not in pools:
            configure = self._configure_connection  # type: ignore[attr-defined]
            arguments = self.get_connection_params() | {"autocommit": True}
            pool = ForgettingPool(kwargs=arguments, configure=configure, **options)
            pools.setdefault(self.alias, pool)  # another thread may have been quicker
        return pools[self.alias]
