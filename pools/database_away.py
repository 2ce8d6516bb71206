"""What it looks like when PostgreSQL cannot be had: through Django's connection, or through psycopg's own.

InternalError too: so it speaks when it has become a standby, which takes no changes (a failover that a connection has
outlived), and when it has ended a transaction in which we had been paused.
"""

import psycopg
from django.db import InterfaceError, InternalError, OperationalError

DATABASE_AWAY = (
    OperationalError,
    InterfaceError,
    InternalError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
)
