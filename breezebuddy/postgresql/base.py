"""Django's PostgreSQL backend with our class of connections (see connection.py)."""

from types import ModuleType

import psycopg
from django.db.backends.postgresql import base

from breezebuddy.postgresql.connection import ImpatientConnection


def _psycopg_with_our_connections() -> ModuleType:
    """What the backend calls `Database`: psycopg, but for the class of the connections that it makes."""
    module = ModuleType("psycopg")
    module.__dict__.update(vars(psycopg))
    module.__dict__["connect"] = ImpatientConnection.connect
    return module


class DatabaseWrapper(base.DatabaseWrapper):
    Database = _psycopg_with_our_connections()
