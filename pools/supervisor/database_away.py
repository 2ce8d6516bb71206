"""What it looks like when PostgreSQL cannot be had: through Django's connection, or through psycopg's own."""

import psycopg
from django.db import InterfaceError, OperationalError

DATABASE_AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
