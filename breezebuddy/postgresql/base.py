"""Django's PostgreSQL backend with our class of connections (connection.py) and our schema changes (schema.py)."""

from types import ModuleType

import psycopg
from django.db.backends.postgresql import base

from breezebuddy.postgresql.connection import ImpatientConnection
from breezebuddy.postgresql.schema import SchemaEditor


def _psycopg_with_our_connections() -> ModuleType:
    """What the backend calls `Database`: psycopg, but for the class of the connections that it makes."""
    module = ModuleType("psycopg")
    module.__dict__.update(vars(psycopg))
    module.__dict__["connect"] = ImpatientConnection.connect
    return module


class DatabaseWrapper(base.DatabaseWrapper):
    Database = _psycopg_with_our_connections()
    SchemaEditorClass = SchemaEditor
