"""manage.py migrate, on a database that is in use: Django's, but it locks nobody out for long."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from psycopg.errors import DeadlockDetected, LockNotAvailable

from common.postgresql.schema import SchemaEditor, unfinished

OURS = {"pools", "leads"}
LOCK_TIMEOUT_MS = 500  # for so long others may have to queue behind us; less than PostgreSQL's deadlock_timeout
PAUSE_S = 0.5  # between tries, for those who queued


class Command(migrate.Command):
    help = (
        "Apply migrations while the service runs. A lock that is not had within half a second is given up, so that "
        "nobody queues behind it, and tried again; indexes of tables in use are built, and their constraints proved, "
        "afterwards and without locking anybody out. Interrupted, it is to be run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--patience", type=float, default=300.0, metavar="SECONDS", help="try so long to get locks (default: 300)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if options["plan"] or options["check_unapplied"] or not _is_in_use(connection):
            super().handle(*args, **options)
            return
        with _gently(connection):
            self._try_again(*args, **options)
        self._finish(connection, options["verbosity"])

    def _try_again(self, *args: Any, **options: Any) -> None:
        """Each migration is a transaction, so that the next try begins with the one that failed."""
        deadline = time.monotonic() + options["patience"]
        while True:
            try:
                super().handle(*args, **options)
                return
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable | DeadlockDetected):
                    raise
                if time.monotonic() > deadline:
                    raise CommandError(
                        f"no lock within {options['patience']:g} s: something holds a table for long (manage.py pools "
                        "status shows the oldest transaction). What is applied stays; run it again"
                    ) from error
            if options["verbosity"]:
                self.stderr.write("  a table is busy: once more in a moment")
            time.sleep(PAUSE_S)

    def _finish(self, connection: Any, verbosity: int) -> None:
        executor = MigrationExecutor(connection)
        applied = [key for key in executor.loader.applied_migrations if key in executor.loader.graph.nodes]
        apps = executor.loader.project_state(applied).apps
        for statement in list(unfinished(connection, apps, OURS)):
            if verbosity:
                self.stdout.write(f"  {statement}")
            with connection.cursor() as cursor:
                cursor.execute(statement)


def _is_in_use(connection: Any) -> bool:
    """Not made a moment ago: some of our tables are there."""
    applied = MigrationRecorder(connection).applied_migrations()
    return any(app in OURS for app, _ in applied)


@contextmanager
def _gently(connection: Any) -> Iterator[None]:
    SchemaEditor.gentle = True
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
    try:
        yield
    finally:
        SchemaEditor.gentle = False
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
