"""`manage.py migrate` for a database that is in use: Django's command, but no lock is held or awaited for long."""

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
LOCK_TIMEOUT_MS = 500  # how long others may have to queue behind us; less than PostgreSQL's deadlock_timeout
PAUSE_S = 0.5  # between tries, so that those who queued get their turn


class Command(migrate.Command):
    help = (
        "Applies migrations while the service runs. If a lock is not available within half a second, it is tried again "
        "later, so that nobody queues behind it. Indexes of tables in use are built, and their constraints validated, "
        "afterwards, without blocking anybody. If it was interrupted, run it again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--patience",
            type=float,
            default=300.0,
            metavar="SECONDS",
            help="for how long to try to get each lock (default: 300)",
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
        """Migrate until all locks were had. Each migration is a transaction: a new try begins with the failed one."""
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
    """Return whether the database has some of our tables already, so that it is not a new one."""
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
