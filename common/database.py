"""Which exceptions mean that PostgreSQL is not available, and what people are told then."""

import psycopg
from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError

# Through Django's connection, or through psycopg's own. InternalError: the server has become a standby, which takes no
# changes, or has ended a transaction in which this process was paused.
DATABASE_AWAY = (
    OperationalError,
    InterfaceError,
    InternalError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
)


def is_connection_failure(exc: OperationalError) -> bool:
    """Return whether there was no connection at all. An error that the server itself reported has an SQLSTATE."""
    return getattr(exc.__cause__, "sqlstate", None) is None


def no_database(exc: OperationalError) -> str:
    """Return one line that says which database does not answer, why, and how to start it."""
    reason = (str(exc).strip().splitlines() or ["no reason given"])[0].strip()
    if settings.DATABASE_URL:
        database = settings.DATABASES["default"]
        where = f"{database['HOST'] or 'the default socket'}:{database['PORT'] or 5432}"
        return f"the database of DATABASE_URL ({where}) does not answer: {reason}"
    return "the embedded PostgreSQL does not run: start it with `make run` in another terminal, or set DATABASE_URL"
