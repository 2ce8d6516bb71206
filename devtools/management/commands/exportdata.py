"""manage.py exportdata: writes the whole database to one file, for a backup or a move to another server."""

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from devtools import embedded_postgres
from devtools.database_dump import DumpFailed, dump
from pools.models import Pod


class Command(BaseCommand):
    help = (
        "Write the whole database (of DATABASE_URL, or the embedded one, which is started for it) into one file, by "
        "pg_dump: leads, templates, tokens' hashes, sessions. The file is private (mode 0600): keep it so. "
        "`manage.py importdata` reads it into an empty database."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        now = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
        default = Path(settings.DATA_DIR, f"export-{now}.dump")
        parser.add_argument("file", nargs="?", type=Path, default=default, help="a new file (default: .data/export-*)")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        if file.exists():
            raise CommandError(f"{file} is there already: name another file")
        with _database():
            if pods := Pod.objects.live().count():
                self.stderr.write(f"note: {pods} pods run; what happens from now on is not in the file")
            try:
                dump(connection.get_connection_params(), file)
            except (DumpFailed, OSError) as error:
                raise CommandError(str(error)) from None
        self.stdout.write(f"{file} ({file.stat().st_size / 1024**2:.1f} MiB)")


@contextmanager
def _database() -> Iterator[None]:
    """Start the embedded server for the block, unless DATABASE_URL names another database."""
    if settings.DATABASE_URL:
        yield
        return
    directory = Path(settings.DATA_DIR, "postgres")
    if not directory.exists():
        raise CommandError(f"there is no embedded database in {directory}: nothing to export")
    try:
        server = embedded_postgres.start(directory)
    except embedded_postgres.EmbeddedPostgresError as error:
        raise CommandError(str(error)) from None
    try:
        yield
    finally:
        connection.close()
        server.stop()
